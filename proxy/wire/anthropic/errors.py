"""Errors in the format of the Messages API, and between it and OpenAI's."""

from typing import Any

import msgspec

from proxy.wire.anthropic.members import Json
from proxy.wire.sse import event
from proxy.wire.unreadable import UNREADABLE

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CODES = {"rate_limit_error": "rate_limit_exceeded", "authentication_error": "invalid_api_key"}
_TOO_LONG = "prompt is too long"
"""How this API says that a conversation exceeds the context window; its clients look for these words."""
_TOO_LONG_CODE = "context_length_exceeded"
_MOST_CHARACTERS = 2000
_NO_REASON = "The provider gave no reason."


def message_error(*, status: int, message: str, code: str | None, request_id: str) -> bytes:
    """`{"type": "error", "error": {type, message, code?}, "request_id"}`; the type follows from the status."""
    error: Json = {"type": _TYPES.get(status, "api_error"), "message": message}
    if code is not None:
        error["code"] = code
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def message_error_event(*, status: int, message: str, code: str | None, request_id: str) -> bytes:
    """The same as the last event of a stream that had begun."""
    return event(message_error(status=status, message=message, code=code, request_id=request_id), "error")


class _Body(msgspec.Struct):
    error: Any = None
    message: Any = None
    detail: Any = None


_BODY = msgspec.json.Decoder(_Body)


def openai_error_from_message_error(body: bytes) -> bytes:
    """OpenAI's error body for one of the Messages API, or for whatever else a provider has answered."""
    found = _error_of(body)
    kind = _text(found.get("type")) or "api_error"
    message = _message(found, body)
    code = _CODES.get(kind)
    if _TOO_LONG in message.lower():
        code = _TOO_LONG_CODE
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def message_error_from_openai_error(body: bytes, *, status: int, request_id: str) -> bytes:
    """An error body of the Messages API for one of OpenAI's, or for whatever else a provider has answered."""
    found = _error_of(body)
    code = _text(found.get("code")) or None
    message = _message(found, body)
    if code == _TOO_LONG_CODE and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    return message_error(status=status, message=message, code=code, request_id=request_id)


def _error_of(body: bytes) -> Json:
    """The error object of a body; one with only a message where it has another shape, empty where it can't be read."""
    try:
        found = _BODY.decode(body)
    except UNREADABLE:
        return {}
    if isinstance(found.error, dict):
        return found.error
    return {"message": _text(found.error) or _text(found.message) or _text(found.detail)}


def _message(error: Json, body: bytes) -> str:
    """What the error says: its message, else the body as it came; never without end."""
    message = _text(error.get("message"))
    plain = body[: 4 * _MOST_CHARACTERS].decode("utf-8", "replace").strip()
    return message or plain[:_MOST_CHARACTERS] or _NO_REASON


def _text(found: object) -> str:
    return found[:_MOST_CHARACTERS] if isinstance(found, str) else ""
