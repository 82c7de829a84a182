"""Server-sent events, taken apart as they come. The unit of the relay is the complete event, kept byte for byte."""

import re

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_LONGEST_BLANK_LINE = 4

DONE = b"[DONE]"
DONE_EVENT = b"data: [DONE]\n\n"
KEEP_ALIVE_EVENT = b": keep-alive\n\n"


class EventTooLarge(ValueError):
    """An event that is longer than any event may be."""


class EventSplitter:
    """Cuts a byte stream into complete events."""

    __slots__ = ("_buffer", "_most_bytes", "_searched")

    def __init__(self, most_bytes: int) -> None:
        self._buffer = bytearray()
        self._searched = 0  # up to here the buffer holds no blank line
        self._most_bytes = most_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, each with its blank line. Raises EventTooLarge."""
        if not self._buffer and data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # the usual case: one event in one piece
        return self._feed(data)

    def _feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        events: list[bytes] = []
        start = 0
        position = max(0, self._searched - _LONGEST_BLANK_LINE)
        while (found := _BLANK_LINE.search(self._buffer, position)) is not None:
            events.append(bytes(self._buffer[start : found.end()]))
            start = position = found.end()
        if start:
            del self._buffer[:start]
        self._searched = len(self._buffer)
        if self._searched > self._most_bytes:
            raise EventTooLarge(f"An event is longer than {self._most_bytes} bytes.")
        return events

    def rest(self) -> bytes:
        """What came after the last complete event."""
        return bytes(self._buffer)


def data_of(event: bytes) -> bytes | None:
    """The data of an event: its `data` lines joined; None if it has none (a comment, a bare event name)."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = [line for line in event.splitlines() if line.startswith(b"data")]
    values = [line[5:].removeprefix(b" ") for line in lines if line[4:5] == b":" or line == b"data"]
    return b"\n".join(values) if values else None


def event(data: bytes, name: str = "") -> bytes:
    """An event of our own."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"
