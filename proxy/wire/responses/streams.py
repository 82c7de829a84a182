"""A stream of the Responses format, as far as the relay must understand what it hands on."""

from typing import Any

import msgspec

from proxy.wire.openai import Kind
from proxy.wire.responses.usage import responses_usage
from proxy.wire.sse import DONE
from proxy.wire.unreadable import UNREADABLE
from proxy.wire.usage import Usage

_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"response.failed", "error"})
_TEXTS = frozenset(
    {"response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"}
    | {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
    | {"response.custom_tool_call_input.delta"}
)


class _Item(msgspec.Struct):
    type: Any = None
    name: Any = None


class _Head(msgspec.Struct):
    usage: Any = None


# The first and last events hold the whole response: what is not named here is skipped without being built.
class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    item: _Item | None = None
    response: _Head | None = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)


class ResponsesReader:
    """Reads the events of one stream: what each is, and what they add up to."""

    __slots__ = ("_most_characters", "characters", "finished", "text", "usage")

    def __init__(self, most_characters: int) -> None:
        self.usage: Usage | None = None
        self.text: list[str] = []  # what was generated, for an estimate if no usage comes
        self.characters = 0
        self.finished = False  # whether the response came to its own end
        self._most_characters = most_characters

    def read(self, data: bytes) -> Kind:
        """The kind of the event with this data."""
        if data == DONE:
            return Kind.QUIET  # some servers say it after the end, others never
        try:
            return self._take(_EVENT.decode(data))
        except msgspec.ValidationError:
            return self._read_odd(data)
        except UNREADABLE:
            return Kind.MALFORMED

    def _take(self, event: _Event) -> Kind:
        kind = event.type
        if not isinstance(kind, str):
            return Kind.QUIET if event.error is None else Kind.ERROR
        if kind in _ENDS:
            self.finished = True
            self.usage = (event.response and responses_usage(event.response.usage)) or self.usage
            return Kind.DONE
        if kind in _FAILURES:
            return Kind.ERROR
        if kind.endswith(".delta"):
            return self._take_delta(kind, event.delta)
        item = event.item
        # A call has begun, whether the client is to make it or the provider makes it itself.
        if kind == "response.output_item.added" and item and isinstance(item.type, str) and item.type.endswith("_call"):
            self._add(item.name)
            return Kind.CONTENT
        return Kind.QUIET

    def _take_delta(self, kind: str, delta: object) -> Kind:
        if not delta:
            return Kind.QUIET
        if kind in _TEXTS:
            self._add(delta)
        return Kind.CONTENT

    def _add(self, text: object) -> None:
        if text and isinstance(text, str) and self.characters < self._most_characters:
            self.text.append(text)
            self.characters += len(text)

    def _read_odd(self, data: bytes) -> Kind:
        # Valid JSON in a shape that we did not expect: its type still says what it is.
        try:
            found = msgspec.json.decode(data)
        except UNREADABLE:
            return Kind.MALFORMED
        if not isinstance(found, dict):
            return Kind.MALFORMED
        return self._take(_Event(type=found.get("type"), delta=found.get("delta"), error=found.get("error")))
