"""The chunks of a streamed chat completion as the events of a message."""

import msgspec

from proxy.wire.anthropic.blocks import Block, BlockLine
from proxy.wire.anthropic.members import Json
from proxy.wire.anthropic.usage import messages_usage_members
from proxy.wire.anthropic.words import message_id, stop_reason, tool_use_id
from proxy.wire.sse import event
from proxy.wire.usage import Usage, openai_usage

_encode = msgspec.json.Encoder().encode


class MessageEvents:
    """Makes the events of one message. Only the first choice is told, and what is no chunk says nothing.

    Several calls may come interleaved, but blocks can't: the first goes out as it comes, and a later one waits until
    the one before it is complete, or until the end. What comes for a call after the end of its JSON is dropped.
    """

    def __init__(self, *, fallback_model: str, input_tokens: int) -> None:
        self._model = fallback_model
        self._input_tokens = input_tokens  # an estimate, told at the start, where the true count is not known
        self._id = ""
        self._line = BlockLine()
        self._calls: dict[int, Block] = {}
        self._call_count = 0
        self._finish_reason: object = None
        self._usage: Usage | None = None
        self._ended = False

    def chunk(self, chunk: Json) -> bytes:
        """The events that follow from a chunk; empty if there are none."""
        if self._ended or not isinstance(chunk, dict):
            return b""
        events = self._start(chunk)
        self._usage = openai_usage(chunk.get("usage")) or self._usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (None, 0):
                if choice.get("finish_reason") is not None:
                    self._finish_reason = choice["finish_reason"]
                if isinstance(choice.get("delta"), dict):
                    events += self._take(choice["delta"])
        return _written(events)

    def end(self, *, estimate: Usage | None = None) -> bytes:
        """The last events, with `estimate` as the usage where the backend gave none; empty the second time."""
        if self._ended:
            return b""
        events = [*self._start({}), *self._line.end()]
        self._ended = True
        usage = self._usage or estimate or Usage(input_tokens=self._input_tokens)
        reason = stop_reason(self._finish_reason, has_calls=bool(self._call_count))
        events.append(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": messages_usage_members(usage),
            }
        )
        events.append({"type": "message_stop"})
        return _written(events)

    def _start(self, chunk: Json) -> list[Json]:
        if self._id:
            return []
        self._id = message_id(chunk.get("id"))
        model = chunk.get("model")
        message: Json = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": model if isinstance(model, str) and model else self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": messages_usage_members(Usage(input_tokens=self._input_tokens)),
        }
        return [{"type": "message_start", "message": message}]

    def _take(self, delta: Json) -> list[Json]:
        events: list[Json] = []
        for kind, text in (
            ("thinking", delta.get("reasoning_content") or delta.get("reasoning")),
            ("text", delta.get("content")),
            ("text", delta.get("refusal")),
        ):
            if text and isinstance(text, str):
                events += self._say(kind, text)
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                events += self._call(call, place)
        if isinstance(delta.get("function_call"), dict):
            events += self._call({"function": delta["function_call"]}, 0)
        return events

    def _say(self, kind: str, text: str) -> list[Json]:
        block = self._line.last
        if block is not None and block.kind == kind:
            return self._line.add(block, text)
        block = Block(kind)
        return [*self._line.begin(block), *self._line.add(block, text)]

    def _call(self, call: Json, place: int) -> list[Json]:
        index = call.get("index")
        key = index if type(index) is int else place
        found = call.get("function")
        function = found if isinstance(found, dict) else {}
        name, arguments = _text(function.get("name")), _text(function.get("arguments"))
        events: list[Json] = []
        block = self._calls.get(key)
        # Some backends give every call the same index, and only a name with another id tells that one begins.
        other = _text(call.get("id"))
        if block is None or (block.name and name and other and other != block.call_id):
            block = Block("tool_use", tool_use_id(other, self._id, self._call_count))
            self._calls[key] = block
            self._call_count += 1
            events += self._line.begin(block)
        block.name = block.name or name
        return events + self._line.add(block, arguments)


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""


def _written(events: list[Json]) -> bytes:
    return b"".join(event(_encode(each), each["type"]) for each in events)
