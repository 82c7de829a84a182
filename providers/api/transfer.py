"""The management API that writes backends to a file and reads them back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, ClassVar

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import MOST_BODY_BYTES, ManagementView, Operation, Query, text_asked
from agenthub.core.api_access import administers
from agenthub.core.errors import BadRequest, RequestTooLarge, RoleNotAllowed
from providers.api.serializers import BackendInput
from providers.models import Backend
from providers.rules.entries import MEDIA_TYPES, Format, entries_read, entries_written
from providers.selectors import backends_with_mappings
from providers.services.entries import entries_apply, entries_of

TEXTS = tuple(media_type for media_type, kind in MEDIA_TYPES.items() if kind != Format.JSON)
_SWITCH = {"": False, "false": False, "0": False, "true": True, "1": True}


class EntryShape(BackendInput):
    """A backend in a file. What is not given stays as it is, or is the default of a new one."""

    api_key = serializers.CharField(
        required=False, max_length=4096, allow_null=True, help_text="Only where keys were asked for. Null: none."
    )


class AppliedAnswer(serializers.Serializer[Any]):
    """What has become of one entry."""

    id = serializers.CharField()
    name = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["created", "updated", "unchanged"])
    notes = serializers.ListField(child=serializers.CharField())


class BackendsExportView(ManagementView):
    """All backends as a file."""

    permission_model = Backend
    operations: ClassVar = {
        "get": Operation(
            "backends_export",
            "Export backends as JSON, YAML or CSV",
            answer=EntryShape,
            many=True,
            paged=False,
            texts=TEXTS,
            query=(
                Query("format", help="json (unless told), yaml or csv."),
                Query("with_keys", bool, "With API keys and the other secrets in the clear; administrators only."),
            ),
            errors=(409,),
        ),
    }

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Errors are JSON; the framework's own reading of `format` would answer 404 for what it does not know."""
        return JSONRenderer(), JSONRenderer.media_type

    def get(self, request: Request) -> HttpResponse:
        """Write them."""
        word = text_asked(request, "format") or Format.JSON
        if word not in set(Format):
            raise BadRequest(f"format must be one of {', '.join(Format)}.", param="format")
        switch = text_asked(request, "with_keys").lower()
        if switch not in _SWITCH:
            raise BadRequest("with_keys must be true or false.", param="with_keys")
        if _SWITCH[switch] and not administers(request):
            raise RoleNotAllowed("Only administrators may export keys; leave with_keys out.")
        entries = entries_of(backends_with_mappings().order_by("name"), with_keys=_SWITCH[switch])
        return file_response(entries, Format(word))


def file_response(entries: list[dict[str, Any]], kind: Format) -> HttpResponse:
    """Entries as a download that nobody keeps a copy of."""
    media_type = next(media_type for media_type, its in MEDIA_TYPES.items() if its == kind)
    return HttpResponse(
        entries_written(entries, kind).encode(),
        content_type=f"{media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="backends.{kind}"', "Cache-Control": "no-store"},
    )


class EntriesParser(BaseParser):
    """A list of entries in any of the formats."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The entries in the body, a list of `Entry`. Raises BadRequest, RequestTooLarge and UnsupportedMediaType."""
        kind = MEDIA_TYPES.get((media_type or "").partition(";")[0].strip().lower())
        if kind is None:
            raise UnsupportedMediaType(media_type or "none")
        body = stream.read(MOST_BODY_BYTES + 1)
        if len(body) > MOST_BODY_BYTES:
            raise RequestTooLarge(f"The body is larger than {MOST_BODY_BYTES} bytes; import it in parts.")
        return entries_read(body, kind)


class BackendsImportView(ManagementView):
    """Backends out of a file."""

    permission_model = Backend
    parser_classes = (EntriesParser,)
    operations: ClassVar = {
        "post": Operation(
            "backends_import",
            "Import backends from JSON, YAML or CSV: created or updated by name, all of them or none",
            answer=AppliedAnswer,
            many=True,
            paged=False,
            body=EntryShape,
            body_many=True,
            texts=TEXTS,
        ),
    }

    def post(self, request: Request) -> Response:
        """Read them."""
        if not request.user.has_perm("providers.change_backend"):
            raise RoleNotAllowed("An import may change backends, which your role does not allow.")
        entries: Any = request.data
        if not isinstance(entries, list):  # no body at all
            raise BadRequest("The body must hold a list of backends.")
        return Response([asdict(applied) for applied in entries_apply(entries)])
