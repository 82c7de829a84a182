"""A chat stream, turned into the events of the Responses format."""

from typing import Protocol

import msgspec

from proxy.wire.responses.fields import Json
from proxy.wire.responses.opening import Call, Message, Reasoning
from proxy.wire.responses.output import (
    arguments_of,
    core_of,
    finished,
    reasoning_of,
    response_shell,
    status_of,
    text_of,
)
from proxy.wire.sse import event
from proxy.wire.usage import Usage, openai_usage

_LEGACY_CALL = -1
"""The index of a call in chat's older way, which knows only one."""


class _Open(Protocol):
    output_index: int

    def close(self, status: str) -> list[Json]: ...

    def item(self, status: str) -> Json: ...


class ResponseEvents:
    """Writes the events of one response while the chunks of a chat completion come in.

    Thoughts and words take turns: what begins ends the other. Calls may be written side by side, so that each is open
    until the end.
    """

    def __init__(self, *, request: Json, created: int, fallback_model: str) -> None:
        self.sequence_number = 0  # of the next event
        self._request = request
        self._created = created
        self._model = fallback_model
        self._response: Json = {}
        self._core = ""
        self._items: list[_Open] = []
        self._done: dict[int, Json] = {}
        self._speaking: Message | Reasoning | None = None
        self._calls: dict[int, Call] = {}
        self._last_call: Call | None = None
        self._finish_reason: object = None
        self._usage: Usage | None = None

    def chunk(self, chunk: Json) -> bytes:
        """The events that a chunk brings; its first choice counts, since the request can't have asked for more."""
        out = self._begin(chunk)
        self._usage = openai_usage(chunk.get("usage")) or self._usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
                out += self._take(choice)
        return self._written(out)

    def end(self) -> bytes:
        """The last events, for a stream that came to its own end: a broken one must not look complete."""
        out = self._begin({})
        status = status_of(self._finish_reason)
        for item in self._items:
            out += self._close(item, status)
        output = [self._done[item.output_index] for item in self._items]
        response = finished(self._response, output, finish_reason=self._finish_reason, usage=self._usage)
        out.append({"type": f"response.{response['status']}", "response": response})
        return self._written(out)

    def _begin(self, chunk: Json) -> list[Json]:
        if self._response:
            return []
        self._core = core_of(chunk.get("id"), otherwise=self._created)
        model = chunk.get("model")
        self._response = response_shell(
            self._request,
            core=self._core,
            created=self._created,
            model=model if isinstance(model, str) and model else self._model,
        )
        return [{"type": f"response.{kind}", "response": self._response} for kind in ("created", "in_progress")]

    def _take(self, choice: Json) -> list[Json]:
        out: list[Json] = []
        delta = choice.get("delta")
        if isinstance(delta, dict):
            out += self._think(reasoning_of(delta))
            out += self._say("output_text", text_of(delta.get("content")))
            out += self._say("refusal", text_of(delta.get("refusal")))
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else []:
                if isinstance(call, dict):
                    out += self._call(call)
            if isinstance(delta.get("function_call"), dict):
                out += self._call({"index": _LEGACY_CALL, "function": delta["function_call"]})
        if choice.get("finish_reason") is not None:
            self._finish_reason = choice["finish_reason"]
        return out

    def _think(self, text: str) -> list[Json]:
        if not text:
            return []
        out: list[Json] = []
        if not isinstance(self._speaking, Reasoning):
            out += self._stop_speaking()
            self._speaking = Reasoning(self._core, len(self._items))
            out += self._open(self._speaking)
        return out + self._speaking.add(text)

    def _say(self, kind: str, text: str) -> list[Json]:
        if not text:
            return []
        out: list[Json] = []
        if not isinstance(self._speaking, Message):
            out += self._stop_speaking()
            self._speaking = Message(self._core, len(self._items))
            out += self._open(self._speaking)
        return out + self._speaking.add(kind, text)

    def _call(self, found: Json) -> list[Json]:
        function = found.get("function")
        function = function if isinstance(function, dict) else {}
        call_id, name = (value if isinstance(value, str) else "" for value in (found.get("id"), function.get("name")))
        arguments = arguments_of(function.get("arguments"))
        call = self._known_call(found.get("index"), call_id, name)
        out: list[Json] = []
        if call is None:
            if not (call_id or name or arguments):
                return []
            out += self._stop_speaking()
            call = Call(self._core, len(self._items))
            self._items.append(call)
            index = found.get("index")
            self._calls[index if type(index) is int else _LEGACY_CALL - len(self._items)] = call
        self._last_call = call
        return out + call.add(call_id, name, arguments)

    def _known_call(self, index: object, call_id: str, name: str) -> Call | None:
        # Some providers give no index, or the same to all calls; then a new id with a name begins a new call.
        call = self._calls.get(index) if type(index) is int else self._last_call
        if type(index) is not int and call_id:
            same = [each for each in self._calls.values() if each.call_id == call_id]
            call = same[0] if same else call
        another = call is not None and call_id and name and call.call_id and call_id != call.call_id
        return None if another else call

    def _open(self, item: Message | Reasoning) -> list[Json]:
        self._items.append(item)
        return item.open()

    def _stop_speaking(self) -> list[Json]:
        speaking, self._speaking = self._speaking, None
        return [] if speaking is None else self._close(speaking, "completed")

    def _close(self, item: _Open, status: str) -> list[Json]:
        if item.output_index in self._done:
            return []
        out = item.close(status)
        self._done[item.output_index] = item.item(status)
        return out

    def _written(self, found: list[Json]) -> bytes:
        out = []
        for each in found:
            body = {**each, "sequence_number": self.sequence_number}
            self.sequence_number += 1
            out.append(event(msgspec.json.encode(body), each["type"]))
        return b"".join(out)
