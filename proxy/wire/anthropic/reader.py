"""Reading a stream of the Messages format on its way through."""

from typing import Any

import msgspec

from proxy.wire.anthropic.usage import RunningUsage
from proxy.wire.openai import Kind
from proxy.wire.sse import DONE
from proxy.wire.unreadable import UNREADABLE
from proxy.wire.usage import Usage


class _Message(msgspec.Struct):
    usage: Any = None


class _Part(msgspec.Struct):
    """A `delta` or a `content_block`."""

    type: Any = None
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    name: Any = None
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: _Part | None = None
    content_block: _Part | None = None
    message: _Message | None = None
    usage: Any = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_NAMES = {"message_stop": Kind.DONE, "error": Kind.ERROR}
_EMPTY_AT_FIRST = ("text", "thinking")


class MessagesReader:
    """Reads the events of one stream: what each is, and what they add up to. As `proxy.wire.openai.StreamReader`."""

    __slots__ = ("_counts", "_most_characters", "characters", "finished", "text")

    def __init__(self, most_characters: int) -> None:
        self.text: list[str] = []  # what was generated, for an estimate if no usage comes
        self.characters = 0
        self.finished = False  # whether the message has said why it ends
        self._most_characters = most_characters
        self._counts = RunningUsage()

    @property
    def usage(self) -> Usage | None:
        """What the stream has counted so far."""
        return self._counts.usage

    def read(self, data: bytes) -> Kind:
        """The kind of the event with this data."""
        try:
            event = _EVENT.decode(data)
        except msgspec.ValidationError:
            return self._read_odd(data)
        except UNREADABLE:
            return Kind.MALFORMED
        if event.type == "content_block_delta":
            return self._take(event.delta)
        if event.error is not None:
            return Kind.ERROR
        if event.type == "content_block_start":
            return self._begin(event.content_block)
        if event.type == "message_start":
            self._counts.take(event.message.usage if event.message is not None else None)
        elif event.type == "message_delta":
            self._counts.take(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                self.finished = True
                return Kind.CONTENT
        return _NAMES.get(event.type, Kind.QUIET)

    def _take(self, delta: _Part | None) -> Kind:
        text = None if delta is None else delta.text or delta.thinking or delta.partial_json
        return self._keep(text) if text else Kind.QUIET

    def _begin(self, block: _Part | None) -> Kind:
        if block is None:
            return Kind.QUIET
        text = block.text or block.thinking or block.name
        if text:
            return self._keep(text)
        return Kind.QUIET if block.type in _EMPTY_AT_FIRST else Kind.CONTENT

    def _keep(self, text: Any) -> Kind:
        if isinstance(text, str) and self.characters < self._most_characters:
            self.text.append(text)
            self.characters += len(text)
        return Kind.CONTENT

    def _read_odd(self, data: bytes) -> Kind:
        if data == DONE:  # some servers end every stream as chat does
            return Kind.DONE
        # Valid JSON in a shape that we did not expect: passed on, since the client may know it.
        try:
            found = msgspec.json.decode(data)
        except UNREADABLE:
            return Kind.MALFORMED
        if not isinstance(found, dict):
            return Kind.MALFORMED
        return Kind.ERROR if found.get("type") == "error" or found.get("error") is not None else Kind.CONTENT
