"""Anthropic's Messages, as a whole and as a stream. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from agenthub.demo.standin import content
from agenthub.demo.standin.protocol import EVENT_STREAM, Ask, sse
from agenthub.demo.standin.script import Script

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_SIGNATURE = "c3RhbmRpbg=="


def message_answer(ask: Ask) -> bytes:
    """A message that does not stream."""
    script = ask.script
    blocks: list[dict[str, Any]] = []
    if script.reasoning:
        blocks.append({"type": "thinking", "thinking": script.reasoning, "signature": _SIGNATURE})
    if script.chunks:
        blocks.append({"type": "text", "text": content.whole_text(script)})
    for call in script.tool_calls:
        # Pasted in as it stands, so that a script can have arguments that are no JSON.
        arguments = msgspec.Raw(call.arguments.encode() or b"{}")
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    message = _message(ask) | {"content": blocks, "stop_reason": _stop_reason(script)}
    if script.usage:
        message["usage"] = _usage(script, output_tokens=content.completion_tokens(script))
    return msgspec.json.encode(message)


def count_answer(ask: Ask) -> bytes:
    """How many tokens a message would take in."""
    return msgspec.json.encode({"input_tokens": ask.script.prompt_tokens})


def _message(ask: Ask) -> dict[str, Any]:
    return {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": ask.body.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _stop_reason(script: Script) -> str:
    reason = content.finish_reason(script)
    return _STOP_REASONS.get(reason, reason)


def _usage(script: Script, *, output_tokens: int) -> dict[str, int]:
    """Disjoint, other than OpenAI's: what came from the cache or went into it is no part of the input."""
    return {
        "input_tokens": max(0, script.prompt_tokens - script.cached_tokens - script.cache_write_tokens),
        "cache_creation_input_tokens": script.cache_write_tokens,
        "cache_read_input_tokens": script.cached_tokens,
        "output_tokens": output_tokens,
    }


class MessageEvents:
    """The events of a streamed message: blocks one after the other, each with its start, deltas and stop."""

    content_type = EVENT_STREAM

    def __init__(self, ask: Ask) -> None:
        self.chunks = content.chunk_count(ask.script)
        self._ask = ask
        self._script = ask.script
        self._block = 0
        self._open = False
        self._before = self._after = b""

    def opening(self) -> Iterator[bytes]:
        """The start of the message, what was thought, and the start of the text."""
        message = _message(self._ask)
        if self._script.usage:
            message["usage"] = _usage(self._script, output_tokens=1)
        yield _event("message_start", message=message)
        if self._script.reasoning:
            yield self._start({"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": self._script.reasoning})
            yield self._delta({"type": "signature_delta", "signature": _SIGNATURE})
            yield self._stop()
        if self._script.chunks:
            yield self._start({"type": "text", "text": ""})
            self._before, self._after = self._delta({"type": "text_delta", "text": "\0"}).split(b"\\u0000")
        yield _event("ping")

    def chunk(self, number: int) -> bytes:
        """One delta; the first of a tool call comes with the start of its block."""
        if number >= self._script.chunks:
            return self._tool_use(number)
        text = msgspec.json.encode(content.chunk_text(self._script, number))
        return self._before + text[1:-1] + self._after

    def closing(self) -> Iterator[bytes]:
        """The end of the last block, the stop reason with the usage, and the end, as far as the script has them."""
        if self._open:
            yield self._stop()
        if self._script.finish:
            delta = {"stop_reason": _stop_reason(self._script), "stop_sequence": None}
            said = {"usage": {"output_tokens": content.completion_tokens(self._script)}} if self._script.usage else {}
            yield _event("message_delta", delta=delta, **said)
        if self._script.done:
            yield _event("message_stop")

    def _tool_use(self, number: int) -> bytes:
        index, first, arguments = content.tool_call_chunk(self._script, number)
        call = self._script.tool_calls[index]
        started = b""
        if first:
            stopped = self._stop() if self._open else b""
            started = stopped + self._start({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        return started + self._delta({"type": "input_json_delta", "partial_json": arguments})

    def _start(self, block: dict[str, Any]) -> bytes:
        self._open = True
        return _event("content_block_start", index=self._block, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._block, delta=delta)

    def _stop(self) -> bytes:
        self._open = False
        self._block += 1
        return _event("content_block_stop", index=self._block - 1)


def _event(kind: str, **members: object) -> bytes:
    return sse(kind, msgspec.json.encode({"type": kind, **members}))
