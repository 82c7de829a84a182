"""The one place where a refusal becomes bytes, in the error format that the caller's endpoint has."""

import math

import msgspec

from agenthub.core.errors import Refused
from proxy.rules.endpoints import Format
from proxy.wire.anthropic.errors import message_error, message_error_event
from proxy.wire.responses.errors import response_error_event
from proxy.wire.sse import event

_MESSAGES = frozenset({Format.MESSAGES, Format.COUNT})
_AFTER_ALL_OTHERS = 2**31 - 1
"""The number of our event in a stream of the Responses format, whose numbers before it were not looked at."""


def error_body(refused: Refused, *, request_id: str, said_in: Format = Format.CHAT) -> bytes:
    """`{"error": {message, type, param, code, request_id}}`, or what Anthropic's clients understand."""
    if said_in in _MESSAGES:
        return message_error(status=refused.status, message=refused.message, code=refused.code, request_id=request_id)
    return msgspec.json.encode(
        {
            "error": {
                "message": refused.message,
                "type": refused.type,
                "param": refused.param,
                "code": refused.code,
                "request_id": request_id,
            }
        }
    )


def error_event(refused: Refused, *, request_id: str, said_in: Format = Format.CHAT) -> bytes:
    """The same as the last event of a stream that had begun."""
    if said_in in _MESSAGES:
        return message_error_event(
            status=refused.status, message=refused.message, code=refused.code, request_id=request_id
        )
    if said_in is Format.RESPONSES:
        return response_error_event(
            message=refused.message, code=refused.code, param=refused.param, sequence_number=_AFTER_ALL_OTHERS
        )
    return event(error_body(refused, request_id=request_id))


def retry_after(seconds: float) -> bytes:
    """A Retry-After header: whole seconds, never less than the truth, at least one."""
    return str(max(1, math.ceil(seconds - 1e-3))).encode()
