"""The one place where a refusal becomes bytes, in OpenAI's error format."""

import math

import msgspec

from agenthub.core.errors import Refused
from proxy.wire.sse import event


def error_body(refused: Refused, *, request_id: str) -> bytes:
    """`{"error": {message, type, param, code, request_id}}`."""
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


def error_event(refused: Refused, *, request_id: str) -> bytes:
    """The same as the last event of a stream that had begun."""
    return event(error_body(refused, request_id=request_id))


def retry_after(seconds: float) -> bytes:
    """A Retry-After header: whole seconds, never less than the truth, at least one."""
    return str(max(1, math.ceil(seconds - 1e-3))).encode()
