"""A cut answer that another backend goes on with: what has been said so far is put into its mouth.

Few upstreams go on where a last message of the assistant ends, and each wants to be told in its own way, so a mapping
says in its `compat` whether and how: `"prefill": true` (a last message of the assistant is enough), `"prefix"` (that
message is marked with `prefix`), or `"continue"` (`continue_final_message` beside it). Anthropic's format always does.
"""

from typing import Any

import msgspec

from providers.rules.table import ApiKind, Candidate
from proxy.wire.chat_events import ChatEvents
from proxy.wire.sse import data_of
from proxy.wire.unreadable import UNREADABLE

Json = dict[str, Any]

WAYS = (True, "prefix", "continue")


def prefill_way(candidate: Candidate) -> bool | str:
    """How a candidate is made to go on with an answer; False where it can't."""
    told = candidate.mapping.compat.get("prefill")
    if told is None:
        return candidate.backend.api is ApiKind.ANTHROPIC_MESSAGES and not candidate.mapping.reasoning
    return told if told in WAYS and isinstance(told, bool | str) else False


def continued_request(body: bytes, *, said: str, said_tokens: int, way: bool | str) -> bytes:
    """A chat request that asks for the rest of an answer of which `said` has come."""
    request: Json = msgspec.json.decode(body)
    message: Json = {"role": "assistant", "content": said}
    if way == "prefix":
        message["prefix"] = True
    elif way == "continue":
        request |= {"continue_final_message": True, "add_generation_prompt": False}
    request["messages"] = [*request["messages"], message]
    for name in ("max_tokens", "max_completion_tokens"):
        if type(request.get(name)) is int:
            request[name] = max(1, request[name] - said_tokens)
    return msgspec.json.encode(request)


class SaidSoFar:
    """Follows the events of a chat stream, so that it can be gone on with."""

    def __init__(self) -> None:
        self.first: Json = {}  # the stream's own names: id, created, model
        self._texts: list[str] = []
        self.resumable = True  # False once something has come that no prefill can say

    @property
    def text(self) -> str:
        """What the assistant has said."""
        return "".join(self._texts)

    def take(self, events: bytes) -> None:
        """Whole events that go to the client."""
        for event in events.replace(b"\r\n", b"\n").split(b"\n\n"):
            self._take_event(data_of(event + b"\n\n"))

    def _take_event(self, data: bytes | None) -> None:
        try:
            chunk = msgspec.json.decode(data) if data else None
        except UNREADABLE:
            return
        if not isinstance(chunk, dict):
            return
        if not self.first:
            self.first = {
                name: chunk[name] for name in ("id", "created", "model", "system_fingerprint") if name in chunk
            }
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            self._take_choice(choice)

    def _take_choice(self, choice: Any) -> None:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            return
        if choice.get("index", 0) != 0 or any(delta.get(name) for name in ("tool_calls", "function_call", "audio")):
            self.resumable = False
        content = delta.get("content")
        if isinstance(content, str):
            self._texts.append(content)


class ContinuedEvents(ChatEvents):
    """The chunks of the backend that goes on, under the names of the stream that was cut."""

    __slots__ = ("_first",)

    def __init__(self, first: Json, *, wants_usage: bool) -> None:
        super().__init__(wants_usage=wants_usage)
        self._first = first

    def chunk(self, chunk: Json) -> bytes:
        """The event of one chunk; nothing for one that only names the role, which has been said."""
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict):
                delta.pop("role", None)
                for name in ("reasoning_content", "reasoning"):
                    delta.pop(name, None)  # thinking anew comes too late for an answer that has begun
        return super().chunk({**chunk, **self._first})
