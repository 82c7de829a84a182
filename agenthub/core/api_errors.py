"""The one shape of errors of every API that Django answers: `{"error": {message, type, param, code}}`."""

from collections.abc import Iterator
from math import ceil
from typing import Any

from django.core.exceptions import ValidationError as InvalidModel
from django.db import IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from agenthub.core.crypto import Unreadable
from agenthub.core.errors import BadRequest, Conflict, InvalidKey, NotFound, Refused
from agenthub.core.logs import current_request_id

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
}


def error_response(
    status: int,
    message: str,
    *,
    kind: str,
    code: str,
    param: str | None = None,
    fields: dict[str, str] | None = None,
) -> Response:
    """An answer in the error shape; `fields` names every wrong field where there are several."""
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    if fields is not None:
        error["fields"] = fields
    error["request_id"] = current_request_id.get()
    return Response({"error": error}, status=status)


def refusal_response(refused: Refused) -> Response:
    """A refusal of the house as an answer."""
    response = error_response(
        refused.status, refused.message, kind=refused.type, code=refused.code, param=refused.param
    )
    if refused.status == InvalidKey.status:
        response["WWW-Authenticate"] = "Bearer"
    if refused.retry_after_seconds is not None:
        response["Retry-After"] = str(max(1, ceil(refused.retry_after_seconds)))
    return response


def exception_handler(exception: Exception, _context: dict[str, Any]) -> Response | None:
    """Django REST framework's hook; None lets a fault of ours become a 500 with its traceback logged."""
    response = _answer(exception)
    if response is not None:
        set_rollback()
    return response


def _answer(exception: Exception) -> Response | None:
    match exception:
        case Refused():
            return refusal_response(exception)
        case exceptions.ValidationError():
            return _invalid(messages_by_field(exception.detail))
        case InvalidModel():
            return _invalid(_model_messages(exception))
        case exceptions.APIException():
            return _framework_error(exception)
        case Http404():
            return refusal_response(NotFound(str(exception) or "There is nothing of this name."))
        case IntegrityError():
            return refusal_response(Conflict("Another change came first; read it again and repeat yours."))
        case Unreadable():
            return refusal_response(Conflict(f"{exception} Enter the API key again.", param="api_key"))
    return None


def _framework_error(exception: exceptions.APIException) -> Response:
    status = exception.status_code
    missing = isinstance(exception, exceptions.NotAuthenticated)
    response = error_response(
        status,
        "Send 'Authorization: Bearer <AGENTHUB_ADMIN_TOKEN>', or sign in." if missing else str(exception.detail),
        kind=_TYPES.get(status, "invalid_request_error"),
        code="invalid_json" if isinstance(exception, exceptions.ParseError) else _CODES.get(status, "invalid_request"),
    )
    challenge = getattr(exception, "auth_header", None)
    if challenge:
        response["WWW-Authenticate"] = challenge
    return response


def _invalid(fields: dict[str, str]) -> Response:
    param, message = next(iter(fields.items()))
    return error_response(
        BadRequest.status,
        f"{param}: {message}" if param else message,
        kind=BadRequest.type,
        code=BadRequest.code,
        param=param or None,
        fields=fields,
    )


def _model_messages(exception: InvalidModel) -> dict[str, str]:
    if hasattr(exception, "error_dict"):
        return {
            "" if field == "__all__" else field: " ".join(messages)
            for field, messages in exception.message_dict.items()
        }
    return {"": " ".join(exception.messages)}


def messages_by_field(detail: Any) -> dict[str, str]:
    """What is wrong with each field of a request, by its path; "" for the request as a whole."""
    return dict(_messages(detail))


def _messages(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    # A path looks like model_mappings.gpt-4.cost.input.
    if isinstance(detail, dict):
        for name, inner in detail.items():
            part = "" if name == "non_field_errors" else str(name)
            yield from _messages(inner, f"{path}.{part}" if path and part else path or part)
    elif isinstance(detail, list) and any(isinstance(inner, dict) for inner in detail):
        for index, inner in enumerate(detail):
            yield from _messages(inner, f"{path}.{index}")
    elif isinstance(detail, list):
        yield path, " ".join(str(message) for message in detail)
    else:
        yield path, str(detail)
