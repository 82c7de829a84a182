"""OpenAI's wire format, as far as the proxy must understand it: as little as possible, and never by changing it."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from agenthub.core.errors import BadRequest, InvalidJson
from proxy.rules.limits import MOST_MODEL_CHARACTERS
from proxy.wire.sse import DONE
from proxy.wire.unreadable import UNREADABLE
from proxy.wire.usage import MOST_TOKENS, Usage, openai_usage

Envelope = dict[str, msgspec.Raw]
"""A request body, opened but not unpacked: its members as the bytes that they were."""

_ENVELOPE = msgspec.json.Decoder(Envelope)
_TRUE = msgspec.Raw(b"true")


class Intake(msgspec.Struct, frozen=True):
    """What the proxy reads of a request body."""

    envelope: Envelope
    model: str
    stream: bool
    wants_usage: bool  # the client itself asked for the usage chunk of a stream


def read_request(body: bytes, *, may_stream: bool, default_model: str = "", needs_model: bool = True) -> Intake:
    """Open a request body. Raises InvalidJson or BadRequest, which name what is wrong."""
    try:
        envelope = _ENVELOPE.decode(body)
    except UNREADABLE as problem:
        what = "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise InvalidJson(f"The request body is not a JSON object: {what}.") from None
    model = _member(envelope, "model") or default_model
    if model == "" and not needs_model:
        return Intake(envelope, "", False, False)
    if not isinstance(model, str) or not model:
        raise BadRequest("The request needs a model: a non-empty string.", param="model")
    if len(model) > MOST_MODEL_CHARACTERS:
        raise BadRequest(f"A model name has at most {MOST_MODEL_CHARACTERS} characters.", param="model")
    stream = _member(envelope, "stream") if may_stream else False
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("stream must be true or false.", param="stream")
    options = _member(envelope, "stream_options") if stream else None
    if options is not None and not isinstance(options, dict):
        raise BadRequest("stream_options must be an object.", param="stream_options")
    return Intake(envelope, model, bool(stream), bool(options and options.get("include_usage") is True))


def _member(envelope: Envelope, name: str) -> Any:
    raw = envelope.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        raise BadRequest(f"{name} can't be read.", param=name) from None


def asked_tokens(intake: Intake) -> int:
    """The most tokens that the caller wants generated; 0 where it does not say, or not in numbers."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        value = _member(intake.envelope, name)
        if type(value) is int and value > 0:
            return min(value, MOST_TOKENS)
    return 0


def asks_for_one(intake: Intake) -> bool:
    """Whether one answer is wanted, and not a choice of several."""
    return _member(intake.envelope, "n") in (None, 1)


def write_request(intake: Intake, *, native_id: str, ask_usage: bool) -> bytes:
    """The body for a backend: its own model name, and for streams the wish for usage; all else as it came.

    The members are written anew around their original bytes, so that a name given twice reaches the backend once, as
    the proxy itself has read it.
    """
    envelope = dict(intake.envelope)
    if native_id and (native_id != intake.model or "model" not in envelope):
        envelope["model"] = msgspec.Raw(msgspec.json.encode(native_id))
    if intake.stream and ask_usage and not intake.wants_usage:
        options = _member(envelope, "stream_options") or {}
        envelope["stream_options"] = msgspec.Raw(msgspec.json.encode({**options, "include_usage": True}))
    return msgspec.json.encode(envelope)


class Kind(Enum):
    """What an event of a stream is to the relay."""

    QUIET = 0  # role only, empty delta, comment: nothing is committed by it
    CONTENT = 1
    USAGE = 2  # the extra chunk with usage and no choices
    DONE = 3
    ERROR = 4
    MALFORMED = 5
    NOTHING = 6  # the client's format has no event for it


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class StreamReader:
    """Reads the events of one stream: what each is, and what they add up to."""

    __slots__ = ("_finished", "_indices", "_most_characters", "characters", "text", "usage")

    def __init__(self, most_characters: int) -> None:
        self.usage: Usage | None = None
        self.text: list[str] = []  # what was generated, for an estimate if no usage comes
        self.characters = 0
        self._most_characters = most_characters
        self._indices: set[int] = set()
        self._finished: set[int] = set()

    @property
    def finished(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._finished) and self._finished >= self._indices

    def read(self, data: bytes) -> Kind:
        """The kind of the event with this data."""
        if data == DONE:
            return Kind.DONE
        try:
            chunk = _CHUNK.decode(data)
        except msgspec.ValidationError:
            return self._read_odd(data)
        except UNREADABLE:
            return Kind.MALFORMED
        if chunk.error is not None:
            return Kind.ERROR
        if chunk.usage is not None:
            self.usage = openai_usage(chunk.usage) or self.usage
        if not chunk.choices:
            return Kind.USAGE if chunk.choices is not None and chunk.usage is not None else Kind.QUIET
        content = False
        for choice in chunk.choices:
            content = self._take(choice) or content
        return Kind.CONTENT if content else Kind.QUIET

    def _take(self, choice: _Choice) -> bool:
        self._indices.add(choice.index)
        if choice.finish_reason is not None:
            self._finished.add(choice.index)
        delta = choice.delta
        content = choice.finish_reason is not None
        if delta is not None:
            text = delta.content
            if text:
                content = True
            else:
                text = delta.reasoning_content or delta.reasoning or delta.refusal
                if text or delta.tool_calls or delta.function_call or delta.audio:
                    content = True
                    text = text or _text_of_calls(delta)
        else:
            text = choice.text
            content = content or bool(text)
        if text and isinstance(text, str) and self.characters < self._most_characters:
            self.text.append(text)
            self.characters += len(text)
        return content

    def _read_odd(self, data: bytes) -> Kind:
        # Valid JSON in a shape that we did not expect: passed on, since the client may know it.
        try:
            found = msgspec.json.decode(data)
        except UNREADABLE:
            return Kind.MALFORMED
        if not isinstance(found, dict):
            return Kind.MALFORMED
        return Kind.ERROR if found.get("error") is not None else Kind.CONTENT


def _text_of_calls(delta: _Delta) -> str:
    calls = delta.tool_calls if isinstance(delta.tool_calls, list) else [{"function": delta.function_call}]
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    parts = [
        str(each.get(part) or "") for each in functions if isinstance(each, dict) for part in ("name", "arguments")
    ]
    return " ".join(parts)


class _Answer(msgspec.Struct):
    usage: Any = None
    error: Any = None
    choices: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_ANSWER = msgspec.json.Decoder(_Answer)


class Answer(msgspec.Struct, frozen=True):
    """What the proxy reads of a JSON answer with status 200."""

    usage: Usage | None
    is_error: bool


def read_answer(body: bytes, usage: Callable[[object], Usage | None] = openai_usage) -> Answer | None:
    """Look at a JSON answer; None if it is no JSON object, or broken off. `usage` reads its usage object."""
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE:
        return None
    is_error = answer.error is not None and not answer.choices and not answer.data
    return Answer(usage(answer.usage), is_error)


class _Message(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _FullChoice(msgspec.Struct):
    message: _Message | None = None
    text: Any = None


class _FullAnswer(msgspec.Struct):
    choices: list[_FullChoice] | None = None


def answer_text(body: bytes) -> str:
    """What a JSON answer says, for an estimate of its tokens; empty where it can't be read."""
    try:
        choices = msgspec.json.decode(body, type=_FullAnswer).choices or []
    except UNREADABLE:
        return ""
    parts: list[object] = []
    for choice in choices:
        parts.append(choice.text)
        if choice.message is not None:
            parts += [choice.message.content, choice.message.reasoning_content, choice.message.tool_calls]
    return " ".join(part if isinstance(part, str) else str(part) for part in parts if part)


def usage_in_tail(tail: bytes, usage: Callable[[object], Usage | None] = openai_usage) -> Usage | None:
    """The usage of an answer that was too large to be looked at whole, out of its last bytes."""
    start = tail.rfind(b'"usage"')
    brace = tail.find(b"{", start)
    if start < 0 or brace < 0:
        return None
    for end in range(brace, len(tail)):
        if tail[end : end + 1] != b"}":
            continue
        try:
            return usage(msgspec.json.decode(tail[brace : end + 1]))
        except UNREADABLE:
            continue
    return None
