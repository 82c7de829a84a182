"""A failure inside a stream of the Responses format. Outside of streams its errors are those of all other endpoints."""

import msgspec

from proxy.wire.sse import event
from proxy.wire.unreadable import UNREADABLE


def response_error_event(*, message: str, code: str | None, param: str | None, sequence_number: int) -> bytes:
    """The event that ends a stream that had begun."""
    body = {"type": "error", "code": code, "message": message, "param": param, "sequence_number": sequence_number}
    return event(msgspec.json.encode(body), "error")


class _Event(msgspec.Struct):
    response: object = None
    code: object = None
    message: object = None
    param: object = None


def openai_error_of_event(data: bytes) -> bytes:
    """The data of `error` or `response.failed` as an error body; as it came where it is neither."""
    try:
        event_read = msgspec.json.decode(data, type=_Event)
    except UNREADABLE:
        return data
    if isinstance(event_read.response, dict):
        error = event_read.response.get("error")
        found = error if isinstance(error, dict) else {"message": "The response has failed."}
    elif event_read.code is not None or event_read.message is not None:
        found = {"code": event_read.code, "message": event_read.message, "param": event_read.param}
    else:
        return data
    return msgspec.json.encode({"error": found})
