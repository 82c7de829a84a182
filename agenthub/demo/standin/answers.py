"""Chat completions, text completions and embeddings, in OpenAI's wire format. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from agenthub.demo.standin import content
from agenthub.demo.standin.content import CREATED
from agenthub.demo.standin.protocol import EVENT_STREAM, Ask
from agenthub.demo.standin.script import Script, ToolCall

MODELS = ("standin-small", "standin-large", "standin-embed")
DONE_EVENT = b"data: [DONE]\n\n"


def chat_answer(ask: Ask) -> bytes:
    """A chat completion that does not stream."""
    script = ask.script
    message: dict[str, Any] = {"role": "assistant", "content": content.whole_text(script)}
    if script.reasoning:
        message["reasoning_content"] = script.reasoning
    if script.tool_calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [_tool_call(call, call.arguments) for call in script.tool_calls]
    choice = {"index": 0, "finish_reason": content.finish_reason(script), "message": message}
    return _completion(ask, "chat.completion", choice)


def text_answer(ask: Ask) -> bytes:
    """A text completion that does not stream."""
    choice = {"index": 0, "finish_reason": ask.script.finish_reason, "text": content.whole_text(ask.script)}
    return _completion(ask, "text_completion", choice)


def embeddings_answer(ask: Ask) -> bytes:
    """An embedding for each input."""
    given = ask.body.get("input")
    count = len(given) if isinstance(given, list) else 1
    data = [{"object": "embedding", "index": n, "embedding": [0.25, -0.5, 1.0]} for n in range(count)]
    answer: dict[str, Any] = {"object": "list", "model": ask.body.get("model"), "data": data}
    if ask.script.usage:
        prompt = ask.script.prompt_tokens
        answer["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt}
    return msgspec.json.encode(answer)


def models_answer() -> bytes:
    """The list of models."""
    listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "standin"} for name in MODELS]
    return msgspec.json.encode({"object": "list", "data": listed})


def _completion(ask: Ask, kind: str, choice: dict[str, Any]) -> bytes:
    answer: dict[str, Any] = {"object": kind, "model": ask.body.get("model"), "id": "chatcmpl-standin"}
    answer |= {"created": CREATED, "choices": [choice]}
    if ask.script.usage:
        answer["usage"] = _usage(ask.script)
    return msgspec.json.encode(answer)


def _usage(script: Script) -> dict[str, Any]:
    prompt, completion = script.prompt_tokens, content.completion_tokens(script)
    details = {"cached_tokens": script.cached_tokens}
    if script.cache_write_tokens:
        details["cache_write_tokens"] = script.cache_write_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
    }


def _tool_call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


class CompletionEvents:
    """The events of a streamed chat or text completion."""

    content_type = EVENT_STREAM

    def __init__(self, ask: Ask, *, chat: bool) -> None:
        script = ask.script
        self.chunks = content.chunk_count(script) if chat else script.chunks
        self._chat = chat
        self._script = script
        options = ask.body.get("stream_options")
        self._tells_usage = script.usage and isinstance(options, dict) and bool(options.get("include_usage"))
        self._common: dict[str, Any] = {
            "id": "chatcmpl-standin",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": CREATED,
            "model": ask.body.get("model"),
        }
        self._nothing = {"usage": None} if self._tells_usage else {}
        # The text of a chunk is spliced in, since encoding each event anew is most of the cost of a stream.
        marked = self._event([self._choice("\0", None)], self._nothing)
        self._before, self._after = marked.rsplit(b"\\u0000", 1)

    def opening(self) -> Iterator[bytes]:
        """The event that names the role, where there is one, and what was reasoned."""
        if self._chat and self._script.role_event:
            yield self._delta({"role": "assistant", "content": ""})
        if self._chat and self._script.reasoning:
            yield self._delta({"reasoning_content": self._script.reasoning})

    def chunk(self, number: int) -> bytes:
        """One content event; of a tool call, its name goes before the first part of its arguments."""
        if number >= self._script.chunks:
            return self._tool_call(number)
        text = msgspec.json.encode(content.chunk_text(self._script, number))
        return self._before + text[1:-1] + self._after

    def closing(self) -> Iterator[bytes]:
        """The finish reason, the usage and the end, as far as the script has them."""
        if self._script.finish:
            reason = content.finish_reason(self._script) if self._chat else self._script.finish_reason
            yield self._event([self._choice("", reason)], self._nothing)
        if self._tells_usage:
            yield self._event([], {"usage": _usage(self._script)})
        if self._script.done:
            yield DONE_EVENT

    def _tool_call(self, number: int) -> bytes:
        index, first, arguments = content.tool_call_chunk(self._script, number)
        named = b""
        if first:
            named = self._delta({"tool_calls": [{"index": index, **_tool_call(self._script.tool_calls[index], "")}]})
        return named + self._delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})

    def _choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        if not self._chat:
            return {"index": 0, "text": text, "finish_reason": finish_reason}
        return {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish_reason}

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._event([{"index": 0, "delta": delta, "finish_reason": None}], self._nothing)

    def _event(self, choices: list[dict[str, Any]], more: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode({**self._common, "choices": choices, **more}) + b"\n\n"


def chat_events(ask: Ask) -> CompletionEvents:
    """A chat completion that streams."""
    return CompletionEvents(ask, chat=True)


def text_events(ask: Ask) -> CompletionEvents:
    """A text completion that streams."""
    return CompletionEvents(ask, chat=False)
