"""OpenAI's Responses, as a whole and as a stream. Pure."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from agenthub.demo.standin import content
from agenthub.demo.standin.content import CREATED
from agenthub.demo.standin.protocol import EVENT_STREAM, Ask, sse
from agenthub.demo.standin.script import Script, ToolCall

_MESSAGE_ID = "msg_standin"
_REASONING_ID = "rs_standin"
_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What the answer repeats of the request, and what it says where the request is silent.
_REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}


def response_answer(ask: Ask) -> bytes:
    """A response that does not stream."""
    return msgspec.json.encode(_ended(ask))


def _ended(ask: Ask) -> dict[str, Any]:
    script = ask.script
    output = [_reasoning(script)] if script.reasoning else []
    if script.chunks:
        output.append(_message(script))
    output += [_function_call(call, call.arguments, "completed") for call in script.tool_calls]
    ended = _response(ask) | {"status": _status(script), "output": output}
    if reason := _INCOMPLETE_REASONS.get(script.finish_reason):
        ended["incomplete_details"] = {"reason": reason}
    if script.usage:
        ended["usage"] = _usage(script)
    return ended


def _response(ask: Ask) -> dict[str, Any]:
    """A response at its start."""
    return {
        "id": "resp_standin",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": ask.body.get("model"),
        "output": [],
        "usage": None,
        **{name: usual if ask.body.get(name) is None else ask.body[name] for name, usual in _REPEATED.items()},
    }


def _status(script: Script) -> str:
    return "incomplete" if script.finish_reason in _INCOMPLETE_REASONS else "completed"


def _reasoning(script: Script) -> dict[str, Any]:
    return {"id": _REASONING_ID, "type": "reasoning", "summary": [_summary(script.reasoning)]}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _message(script: Script) -> dict[str, Any]:
    return _started_message() | {"status": _status(script), "content": [_text_part(content.whole_text(script))]}


def _started_message() -> dict[str, Any]:
    return {"id": _MESSAGE_ID, "type": "message", "role": "assistant", "status": "in_progress", "content": []}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function_call(call: ToolCall, arguments: str, status: str) -> dict[str, Any]:
    said = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"id": _item_id(call), "type": "function_call", "status": status, **said}


def _item_id(call: ToolCall) -> str:
    """An item has an id of its own, which is not that of the call."""
    return f"fc_{call.id}"


def _usage(script: Script) -> dict[str, Any]:
    prompt, completion = script.prompt_tokens, content.completion_tokens(script)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": script.cached_tokens,
            "cache_write_tokens": script.cache_write_tokens,
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
        "total_tokens": prompt + completion,
    }


class ResponseEvents:
    """The events of a streamed response, numbered: items one after the other, each added, filled and done."""

    content_type = EVENT_STREAM

    def __init__(self, ask: Ask) -> None:
        self.chunks = content.chunk_count(ask.script)
        self._ask = ask
        self._script = ask.script
        self._numbers = count()
        self._index = 0  # of the item that is being said
        self._text_open = False
        self._before = self._after = b""

    def opening(self) -> Iterator[bytes]:
        """The start of the response, what was reasoned, and the start of the text."""
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=_response(self._ask))
        if self._script.reasoning:
            yield from self._reasoned()
        if self._script.chunks:
            self._text_open = True
            yield self._item("added", _started_message())
            yield self._event("response.content_part.added", **self._in_text(), part=_text_part(""))
            self._before, self._after = self._marked_delta()

    def chunk(self, number: int) -> bytes:
        """One delta; the first of a function call comes after its item is added, with the last the item is done."""
        if number >= self._script.chunks:
            return self._function_call(number)
        text = msgspec.json.encode(content.chunk_text(self._script, number))
        return b"%b%b%b%d}\n\n" % (self._before, text[1:-1], self._after, next(self._numbers))

    def closing(self) -> Iterator[bytes]:
        """The end of the text, if it is the last item, and of the response, as far as the script has it."""
        yield from self._text_done()
        # This one event says both why and that the response has ended.
        if self._script.finish and self._script.done:
            yield self._event(f"response.{_status(self._script)}", response=_ended(self._ask))

    def _reasoned(self) -> Iterator[bytes]:
        at = {"item_id": _REASONING_ID, "output_index": self._index, "summary_index": 0}
        said = self._script.reasoning
        yield self._item("added", {"id": _REASONING_ID, "type": "reasoning", "summary": []})
        yield self._event("response.reasoning_summary_part.added", **at, part=_summary(""))
        yield self._event("response.reasoning_summary_text.delta", **at, delta=said)
        yield self._event("response.reasoning_summary_text.done", **at, text=said)
        yield self._event("response.reasoning_summary_part.done", **at, part=_summary(said))
        yield self._item("done", _reasoning(self._script))

    def _text_done(self) -> Iterator[bytes]:
        if not self._text_open:
            return
        self._text_open = False
        text = content.whole_text(self._script)
        yield self._event("response.output_text.done", **self._in_text(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._in_text(), part=_text_part(text))
        yield self._item("done", _message(self._script))

    def _function_call(self, number: int) -> bytes:
        index, first, arguments = content.tool_call_chunk(self._script, number)
        call = self._script.tool_calls[index]
        events: list[bytes] = []
        if first:
            events += self._text_done()
            events.append(self._item("added", _function_call(call, "", "in_progress")))
        at = {"item_id": _item_id(call), "output_index": self._index}
        events.append(self._event("response.function_call_arguments.delta", **at, delta=arguments))
        if not first:
            events.append(self._event("response.function_call_arguments.done", **at, arguments=call.arguments))
            events.append(self._item("done", _function_call(call, call.arguments, "completed")))
        return b"".join(events)

    def _in_text(self) -> dict[str, Any]:
        return {"item_id": _MESSAGE_ID, "output_index": self._index, "content_index": 0}

    def _marked_delta(self) -> tuple[bytes, bytes]:
        """What stands before the text of a delta, and between it and the number that closes the event."""
        kind = "response.output_text.delta"
        members = {"type": kind, **self._in_text(), "delta": "\0", "logprobs": [], "sequence_number": 0}
        before, after = sse(kind, msgspec.json.encode(members)).split(b"\\u0000")
        return before, after.removesuffix(b"0}\n\n")

    def _item(self, what: str, item: dict[str, Any]) -> bytes:
        event = self._event(f"response.output_item.{what}", output_index=self._index, item=item)
        self._index += what == "done"
        return event

    def _event(self, kind: str, **members: object) -> bytes:
        return sse(kind, msgspec.json.encode({"type": kind, **members, "sequence_number": next(self._numbers)}))
