"""What the views of the management API have in common."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Protocol
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from agenthub.core.api_access import AdminTokenAuthentication, HasRole, StaffSessionAuthentication
from agenthub.core.api_errors import exception_handler
from agenthub.core.errors import BadRequest, RequestTooLarge

MOST_BODY_BYTES = 8 * 1024 * 1024
MOST_ROWS = 10_000

_NEEDED = {"GET": "view", "HEAD": "view", "OPTIONS": "view", "POST": "add", "PUT": "change", "PATCH": "change"}


@dataclass(frozen=True, slots=True)
class Query:
    """One parameter of a query, for the description of the API."""

    name: str
    kind: type = str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the description of the API says of one method of a view; see `overview/openapi.py`."""

    id: str
    summary: str
    answer: type[Serializer[Any]]
    body: type[Serializer[Any]] | None = None
    many: bool = False  # a plain array
    paged: bool = True  # where it is an array: with limit and offset
    body_many: bool = False
    texts: tuple[str, ...] = ()  # media types in which the answer to a GET, else the body, may also come
    keyed: bool = False  # an object that holds one answer by each name
    status: int = 200
    query: tuple[Query, ...] = ()
    errors: tuple[int, ...] = ()
    tags: tuple[str, ...] = ("management",)


class BoundedJSONParser(BaseParser):
    """JSON of a bounded size and depth, without the numbers that JSON does not have."""

    media_type = "application/json"
    most_bytes: ClassVar[int] = MOST_BODY_BYTES

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value in the body. Raises ParseError and RequestTooLarge."""
        body = stream.read(self.most_bytes + 1)
        if len(body) > self.most_bytes:
            raise RequestTooLarge(f"The body is larger than {self.most_bytes} bytes.")
        try:
            return json.loads(body, parse_constant=_no_such_number)
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        except ValueError as problem:
            raise ParseError(f"The body is not valid JSON: {problem}") from None


def _no_such_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


class HouseView(APIView):
    """A view that answers in the error shape of the house and says what it does to the description of the API."""

    operations: ClassVar[Mapping[str, Operation]] = {}

    parser_classes: tuple[type[BaseParser], ...] = (BoundedJSONParser,)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """Errors of these views have one shape."""
        return exception_handler


class ManagementView(HouseView):
    """A view of the management API. `permission_model` is the model whose permissions rule it."""

    permission_model: ClassVar[type[Model]]
    actions: ClassVar[bool] = False  # its POST does something to a row that exists

    authentication_classes: tuple[type[BaseAuthentication], ...] = (
        AdminTokenAuthentication,
        StaffSessionAuthentication,
    )
    permission_classes: tuple[type[BasePermission], ...] = (HasRole,)

    def needed(self, method: str | None) -> str:
        """The word of Django's permissions for a method."""
        if self.actions and method == "POST":
            return "change"
        return _NEEDED.get(method or "", "delete")


def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object; an empty body is an empty one. Raises BadRequest."""
    data = request.data
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object.")
    return data


def fields_of(request: Request, given: Callable[..., Serializer[Any]], *row: Any, **more: Any) -> dict[str, Any]:
    """The fields of the body, a JSON object, as a serializer checks them. Raises BadRequest and ValidationError."""
    read = given(*row, data=json_object(request), **more)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def number_asked(request: Request, name: str, default: int, *, at_least: int, at_most: int) -> int:
    """A whole number out of the query. Raises BadRequest naming it."""
    raw = request.query_params.get(name, "")
    if raw == "":
        return default
    # isdecimal also takes digits of other scripts, which int understands; the length bounds the work.
    if not raw.removeprefix("-").isdecimal() or len(raw) > 12 or not at_least <= int(raw) <= at_most:
        raise BadRequest(f"{name} must be a whole number between {at_least} and {at_most}.", param=name)
    return int(raw)


def text_asked(request: Request, name: str) -> str:
    """A text out of the query, "" without one. Raises BadRequest for one that no row can hold."""
    raw: str = request.query_params.get(name, "")
    if "\0" in raw or len(raw) > 500:
        raise BadRequest(f"{name} is not a name that anything here has.", param=name)
    return raw


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that was asked for, and the headers that say where it stands."""

    rows: list[Any]
    headers: dict[str, str] = field(default_factory=dict)


class Rows(Protocol):
    """A list that is looked at in parts."""

    def count(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, part: slice) -> Iterable[Any]: ...


def page_asked(request: Request, rows: Rows | list[Any], *, default_limit: int = 1000) -> Page:
    """`limit` and `offset`, or `page`, applied; the total is in X-Total-Count, the neighbours in Link. Raises
    BadRequest."""
    limit = number_asked(request, "limit", default_limit, at_least=1, at_most=MOST_ROWS)
    page = number_asked(request, "page", 0, at_least=0, at_most=10**6)
    offset = (page - 1) * limit if page else number_asked(request, "offset", 0, at_least=0, at_most=10**9)
    total = len(rows) if isinstance(rows, list) else rows.count()
    headers = {"X-Total-Count": str(total)}
    links = [
        f'<{_at(request, limit, place)}>; rel="{name}"'
        for name, place in (("prev", max(offset - limit, 0)), ("next", offset + limit))
        if (name == "prev" and offset > 0) or (name == "next" and offset + limit < total)
    ]
    if links:
        headers["Link"] = ", ".join(links)
    return Page(list(rows[offset : offset + limit]), headers)


def _at(request: Request, limit: int, offset: int) -> str:
    query = request.query_params.dict() | {"limit": str(limit), "offset": str(offset)}
    query.pop("page", None)
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")


LONGEST_PAGE, USUAL_PAGE = 200, 50
BACKWARDS = (
    Query("cursor", help="Go on from here: the X-Next-Cursor of the answer before."),
    Query("limit", int, help=f"At most so many: {USUAL_PAGE}, and {LONGEST_PAGE} at the most."),
)
"""The query of lists that are read from the newest on."""


def backwards(request: Request, rows: QuerySet[Any, Any]) -> Page:
    """The newest rows, or those before the `cursor`; X-Next-Cursor and Link say where to go on, as long as there are
    more. What comes meanwhile moves nothing. Raises BadRequest."""
    limit = number_asked(request, "limit", USUAL_PAGE, at_least=1, at_most=LONGEST_PAGE)
    raw = request.query_params.get("cursor", "")
    if raw and not (raw.isascii() and raw.isdigit() and len(raw) < 19):
        raise BadRequest("cursor must be the X-Next-Cursor of an answer.", param="cursor")
    found = list((rows.filter(pk__lt=int(raw)) if raw else rows).order_by("-pk")[: limit + 1])
    if len(found) <= limit:
        return Page(found)
    cursor = str(found[limit - 1].pk)
    query = request.query_params.dict() | {"limit": str(limit), "cursor": cursor}
    link = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
    return Page(found[:limit], {"X-Next-Cursor": cursor, "Link": f'<{link}>; rel="next"'})
