"""The events of a Responses stream, turned into the chunks of a chat completion."""

from proxy.wire.responses.answers import BETWEEN_THOUGHTS, chat_from_response, finish_reason_of
from proxy.wire.responses.fields import Json
from proxy.wire.responses.output import arguments_of, core_of, text_of
from proxy.wire.responses.usage import responses_usage, usage_in_chat
from proxy.wire.untranslatable import Untranslatable

# Event → the member of a chat delta, and of the event that ends the piece.
_SAID = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("refusal", "refusal"),
    "response.reasoning_summary_text": ("reasoning_content", "text"),
    "response.reasoning_text": ("reasoning_content", "text"),
}
_ENDS = ("response.completed", "response.incomplete")


class _Call:
    __slots__ = ("has_arguments", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_arguments = False


class ChunksFromResponses:
    """Turns the events of one stream into chunks, the last of which has the usage and no choices.

    Failures inside the stream bring no chunks; whoever reads it must look for them.
    """

    def __init__(self, *, created: int) -> None:
        self._created = created
        self._id = ""
        self._model = ""
        self._pieces: set[tuple[str, ...]] = set()  # those that were told of in deltas
        self._calls: dict[str, _Call] = {}
        self._has_thoughts = False
        self._finished = False

    def event(self, event: Json) -> list[Json]:
        """The chunks that an event brings; none once the response has ended."""
        if self._finished:
            return []
        out = self._begin(event)
        kind = event.get("type")
        if not isinstance(kind, str):
            return out
        said, _, moment = kind.rpartition(".")
        if said in _SAID and moment in ("delta", "done"):
            return out + self._say(event, said, moment)
        if said == "response.function_call_arguments":
            call = self._calls.get(_key(event))
            return out + (self._argue(call, event, moment) if call else [])
        if said == "response.output_item":
            return out + self._call(event)
        if kind in _ENDS:
            return out + self._end(event, kind)
        return out

    def rest(self) -> list[Json]:
        """What follows the last event: nothing, since that one has it all."""
        return []

    def _begin(self, event: Json) -> list[Json]:
        if self._id:
            return []
        response = event.get("response")
        head = response if isinstance(response, dict) else {}
        self._id = "chatcmpl-" + core_of(head.get("id"), otherwise=self._created)
        self._model = text_of(head.get("model"))
        return [self._delta({"role": "assistant", "content": ""})]

    def _say(self, event: Json, said: str, moment: str) -> list[Json]:
        member, whole = _SAID[said]
        piece = (said, _key(event), *(str(event.get(place)) for place in ("content_index", "summary_index")))
        is_new = piece not in self._pieces
        text = text_of(event.get("delta" if moment == "delta" else whole))
        # What ends a piece repeats it whole, which is news only from servers that send no deltas.
        if not text or (moment == "done" and not is_new):
            return []
        self._pieces.add(piece)
        if member == "reasoning_content":
            text = BETWEEN_THOUGHTS + text if is_new and self._has_thoughts else text
            self._has_thoughts = True
        return [self._delta({member: text})]

    def _call(self, event: Json) -> list[Json]:
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") != "function_call":
            return []
        key = _key(event)
        out: list[Json] = []
        if key not in self._calls:
            call = self._calls[key] = _Call(len(self._calls))
            call_id = text_of(item.get("call_id")) or text_of(item.get("id")) or f"call_{call.index}"
            function = {"name": text_of(item.get("name")), "arguments": ""}
            found = {"index": call.index, "id": call_id, "type": "function", "function": function}
            out.append(self._delta({"tool_calls": [found]}))
        moment = "done" if event.get("type") == "response.output_item.done" else "added"
        return out + (self._argue(self._calls[key], item, moment) if moment == "done" else [])

    def _argue(self, call: _Call, found: Json, moment: str) -> list[Json]:
        arguments = text_of(found.get("delta")) if moment == "delta" else arguments_of(found.get("arguments"))
        if not arguments or (moment != "delta" and call.has_arguments):
            return []
        call.has_arguments = True
        return [self._delta({"tool_calls": [{"index": call.index, "function": {"arguments": arguments}}]})]

    def _end(self, event: Json, kind: str) -> list[Json]:
        self._finished = True
        found = event.get("response")
        response = {**found, "status": kind.rpartition(".")[2]} if isinstance(found, dict) else {}
        out: list[Json] = []
        if not self._pieces and not self._calls:
            out += self._whole(response)
        calls = bool(self._calls) or any("tool_calls" in each["choices"][0]["delta"] for each in out)
        out.append(self._chunk([_choice({}, finish_reason_of(response, calls=calls))]))
        usage = responses_usage(response.get("usage"))
        if usage is not None:
            out.append({**self._chunk([]), "usage": usage_in_chat(usage)})
        return out

    def _whole(self, response: Json) -> list[Json]:
        # A server that tells of nothing until the end: what it has then is all there is.
        try:
            message = chat_from_response(response, created=self._created)["choices"][0]["message"]
        except Untranslatable:
            return []
        calls = [{"index": i, **call} for i, call in enumerate(message.pop("tool_calls", []))]
        delta = {name: value for name, value in message.items() if value and name != "role"}
        delta = delta | {"tool_calls": calls} if calls else delta
        return [self._delta(delta)] if delta else []

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


def _key(event: Json) -> str:
    # The place comes first: there are servers whose ids of one item differ from event to event.
    index = event.get("output_index")
    return str(index) if type(index) is int else text_of(event.get("item_id"))


def _choice(delta: Json, finish_reason: str | None) -> Json:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}
