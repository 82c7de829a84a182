"""A failure inside a stream of the Responses format. Outside of streams its errors are those of all other endpoints."""

import msgspec

from proxy.wire.sse import event


def response_error_event(*, message: str, code: str | None, param: str | None, sequence_number: int) -> bytes:
    """The event that ends a stream that had begun."""
    body = {"type": "error", "code": code, "message": message, "param": param, "sequence_number": sequence_number}
    return event(msgspec.json.encode(body), "error")
