"""Chat chunks as the events of a stream: the way out of a translation for clients that speak chat completions."""

from typing import Any

import msgspec

from proxy.wire.sse import DONE_EVENT, event


class ChatEvents:
    """Writes chunks as they are; the usage chunk only for who asked for it."""

    __slots__ = ("_wants_usage",)

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """The event of one chunk; nothing for a usage chunk that nobody asked for."""
        if chunk.get("choices") == [] and not self._wants_usage:
            return b""
        return event(msgspec.json.encode(chunk))

    def end(self) -> bytes:
        """The last event."""
        return DONE_EVENT
