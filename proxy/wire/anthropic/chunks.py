"""The events of a streamed message as the chunks of a chat completion."""

from proxy.wire.anthropic.members import Json, json_text
from proxy.wire.anthropic.usage import RunningUsage, chat_usage_members
from proxy.wire.anthropic.words import chat_id, finish_reason, tool_use_id
from proxy.wire.untranslatable import Untranslatable


class _OpenCall:
    """A call whose block is open."""

    __slots__ = ("given", "index", "written")

    def __init__(self, index: int, given: object) -> None:
        self.index = index
        self.given = given if isinstance(given, dict) else {}
        self.written = False  # whether any of its arguments has come as a delta


class ChunksFromMessages:
    """Makes the chunks of one chat completion, `created` in epoch seconds. What is no event of a message, and errors,
    make none."""

    def __init__(self, *, created: int) -> None:
        self._created = created
        self._id = ""
        self._model = ""
        self._counts = RunningUsage()
        self._open: dict[int, _OpenCall] = {}  # by the index of the block
        self._call_count = 0
        self._over = False

    def event(self, event: Json) -> list[Json]:
        """The chunks that follow from an event."""
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            return self._start(_object(event.get("message")))
        if kind == "content_block_start":
            return self._begin(_index(event), _object(event.get("content_block")))
        if kind == "content_block_delta":
            return self._take(_index(event), _object(event.get("delta")))
        if kind == "content_block_stop":
            return self._stop(_index(event))
        if kind == "message_delta":
            return self._finish(event)
        return self.rest() if kind == "message_stop" else []

    def rest(self) -> list[Json]:
        """What follows the last event, once: the usage. For streams that leave that event out."""
        if self._over or self._counts.usage is None:
            return []
        self._over = True
        return [*self._role(), {**self._chunk([]), "usage": chat_usage_members(self._counts.usage)}]

    def _start(self, message: Json) -> list[Json]:
        self._counts.take(message.get("usage"))
        if self._id:
            return []
        model = message.get("model")
        self._model = model if isinstance(model, str) else ""
        self._id = chat_id(message.get("id"))
        return [self._delta({"role": "assistant", "content": ""})]

    def _role(self) -> list[Json]:
        """The chunk that every stream begins with, if it has not gone out yet."""
        return [] if self._id else self._start({})

    def _begin(self, index: int, block: Json) -> list[Json]:
        if block.get("type") != "tool_use":
            return self._say(block)
        chunks = [*self._stop(index), *self._role()]  # a block that begins anew has ended
        call = _OpenCall(self._call_count, block.get("input"))
        self._open[index] = call
        self._call_count += 1
        name = block.get("name")
        started = {
            "index": call.index,
            "id": tool_use_id(block.get("id"), self._id, call.index),
            "type": "function",
            "function": {"name": name if isinstance(name, str) else "", "arguments": ""},
        }
        return [*chunks, self._delta({"tool_calls": [started]})]

    def _take(self, index: int, delta: Json) -> list[Json]:
        call = self._open.get(index)
        text = delta.get("partial_json")
        if call is None or not text or not isinstance(text, str):
            return self._say(delta)
        call.written = True
        return [self._arguments(call, text)]

    def _say(self, found: Json) -> list[Json]:
        """Text or thinking, of a block's start or of a delta."""
        for ours, chat in (("text", "content"), ("thinking", "reasoning_content")):
            text = found.get(ours)
            if text and isinstance(text, str):
                return [*self._role(), self._delta({chat: text})]
        return []

    def _stop(self, index: int) -> list[Json]:
        call = self._open.pop(index, None)
        if call is None or call.written:
            return []
        # A call without arguments has no delta, and chat clients read the JSON of an object even so.
        try:
            return [self._arguments(call, json_text(call.given, "input"))]
        except Untranslatable:
            return [self._arguments(call, "{}")]

    def _finish(self, event: Json) -> list[Json]:
        self._counts.take(event.get("usage"))
        reason = _object(event.get("delta")).get("stop_reason")
        if reason is None:
            return []
        left = [chunk for index in list(self._open) for chunk in self._stop(index)]
        return [*self._role(), *left, self._chunk([_choice({}, finish_reason(reason))])]

    def _arguments(self, call: _OpenCall, text: str) -> Json:
        return self._delta({"tool_calls": [{"index": call.index, "function": {"arguments": text}}]})

    def _delta(self, delta: Json) -> Json:
        return self._chunk([_choice(delta, None)])

    def _chunk(self, choices: list[Json]) -> Json:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def _choice(delta: Json, reason: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _object(found: object) -> Json:
    return found if isinstance(found, dict) else {}


def _index(event: Json) -> int:
    index = event.get("index")
    return index if type(index) is int else -1
