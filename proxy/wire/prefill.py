"""A cut answer that another backend goes on with: what has been said so far is put into its mouth.

Few upstreams go on where a last message of the assistant ends, and each wants to be told in its own way, so a mapping
says in its `compat` whether and how: `"prefill": true` (a last message of the assistant is enough), `"prefix"` (that
message is marked with `prefix`), or `"continue"` (`continue_final_message` beside it). Anthropic's format always does.
"""

from typing import Any

import msgspec

from providers.rules.table import ApiKind, Candidate
from proxy.wire.anthropic.usage import chat_usage_members
from proxy.wire.chat_events import ChatEvents
from proxy.wire.sse import data_of
from proxy.wire.unreadable import UNREADABLE
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import Usage, added, openai_usage

Json = dict[str, Any]

WAYS = (True, "prefix", "continue")
_NOT_TEXT = ("tool_calls", "function_call", "audio", "refusal")
_THOUGHTS = ("reasoning_content", "reasoning")


def prefill_way(candidate: Candidate) -> bool | str:
    """How a candidate is made to go on with an answer; False where it can't."""
    told = candidate.mapping.compat.get("prefill")
    if told is None:
        return candidate.backend.api is ApiKind.ANTHROPIC_MESSAGES and not candidate.mapping.reasoning
    return told if told in WAYS and isinstance(told, bool | str) else False


def continued_request(body: bytes, *, said: str, said_tokens: int, way: bool | str) -> bytes:
    """A chat request that asks for the rest of an answer of which `said` has come. Raises Untranslatable."""
    try:
        request: Json = msgspec.json.decode(body)
    except UNREADABLE:
        raise Untranslatable("messages", "messages can't be read, so that nobody can go on with the answer.") from None
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise Untranslatable("messages", "messages must be a list for the answer to be gone on with.")
    message: Json = {"role": "assistant", "content": said}
    if way == "prefix":
        message["prefix"] = True
    elif way == "continue":
        request |= {"continue_final_message": True, "add_generation_prompt": False}
    request["messages"] = [*messages, message]
    for name in ("max_tokens", "max_completion_tokens"):
        if type(request.get(name)) is int:
            request[name] = max(1, request[name] - said_tokens)
    return msgspec.json.encode(request)


class SaidSoFar:
    """Follows the events of a chat stream, so that it can be gone on with."""

    def __init__(self) -> None:
        self.first: Json = {}  # the stream's own names: id, created, model
        self._texts: list[str] = []
        self.resumable = True  # False once something has come that no prefill can say, or the end

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
        ended = choice.get("finish_reason") is not None
        if ended or choice.get("index", 0) != 0 or any(delta.get(name) for name in _NOT_TEXT):
            self.resumable = False
        content = delta.get("content")
        if isinstance(content, str):
            self._texts.append(content)
        elif content:
            self.resumable = False


class ContinuedEvents(ChatEvents):
    """The chunks of the backend that goes on, under the names of the stream that was cut.

    `repeated` is white space that the client has already and the backend may say once more; `carried` is what was used
    before.
    """

    __slots__ = ("_carried", "_first", "_repeated")

    def __init__(self, first: Json, *, carried: Usage, wants_usage: bool, repeated: str = "") -> None:
        super().__init__(wants_usage=wants_usage)
        self._first = first
        self._carried = carried
        self._repeated = repeated

    def chunk(self, chunk: Json) -> bytes:
        """The event of one chunk; nothing for one that says only what was said, such as the role."""
        choices = chunk.get("choices")
        news = [self._has_news(choice) for choice in choices] if isinstance(choices, list) else []
        usage = openai_usage(chunk.get("usage"))
        if usage is not None:
            chunk = {**chunk, "usage": chat_usage_members(added(self._carried, usage))}
        elif news and not any(news):
            return b""
        return super().chunk({**chunk, **self._first})

    def _has_news(self, choice: Any) -> bool:
        """Take out of a choice what was said; whether anything is left."""
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            return True
        delta.pop("role", None)
        for name in _THOUGHTS:
            delta.pop(name, None)  # thinking anew comes too late for an answer that has begun
        if self._repeated and isinstance(delta.get("content"), str):
            delta["content"] = self._without_repeated(delta["content"])
        return choice.get("finish_reason") is not None or any(delta.values())

    def _without_repeated(self, text: str) -> str:
        while self._repeated and text.startswith(self._repeated[0]):
            text, self._repeated = text[1:], self._repeated[1:]
        if text:
            self._repeated = ""
        return text
