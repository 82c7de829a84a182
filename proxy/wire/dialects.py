"""In which format a backend is spoken to, and what is translated on the way there and back.

Chat completions are the pivot: what is translated goes from the client's format to chat and from chat to the backend's.
Where both speak the same, nothing is touched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from providers.rules.table import ApiKind, MappingEntry
from proxy.rules.endpoints import EVERY_KIND, Endpoint, Format
from proxy.wire.anthropic.answers import chat_from_message, message_from_chat
from proxy.wire.anthropic.chunks import ChunksFromMessages
from proxy.wire.anthropic.errors import (
    message_error_from_openai_error,
    openai_error_from_message_error,
)
from proxy.wire.anthropic.events import MessageEvents
from proxy.wire.anthropic.reader import MessagesReader
from proxy.wire.anthropic.requests_in import chat_from_messages
from proxy.wire.anthropic.requests_out import messages_from_chat
from proxy.wire.anthropic.unsigned import without_unsigned_thinking
from proxy.wire.anthropic.usage import anthropic_usage
from proxy.wire.chat_events import ChatEvents
from proxy.wire.openai import Answer, Intake, Kind, StreamReader, answer_text, read_answer, write_request
from proxy.wire.responses.answers import chat_from_response, response_from_chat
from proxy.wire.responses.chunks import ChunksFromResponses
from proxy.wire.responses.errors import openai_error_of_event
from proxy.wire.responses.events import ResponseEvents
from proxy.wire.responses.requests import chat_from_responses, responses_from_chat
from proxy.wire.responses.streams import ResponsesReader
from proxy.wire.responses.usage import responses_usage
from proxy.wire.sse import DONE_EVENT, event
from proxy.wire.unreadable import UNREADABLE
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import Usage, openai_usage

Json = dict[str, Any]

_SPOKEN = {ApiKind.ANTHROPIC_MESSAGES: Format.MESSAGES, ApiKind.OPENAI_RESPONSES: Format.RESPONSES}
_TRANSLATED = frozenset({Format.CHAT, Format.MESSAGES, Format.RESPONSES})
_PATHS = {Format.CHAT: "chat/completions", Format.MESSAGES: "messages", Format.RESPONSES: "responses"}
_MESSAGE_STOP_EVENT = event(b'{"type":"message_stop"}', "message_stop")


class Reader(Protocol):
    """Reads the events of one stream: what each is, and what they add up to."""

    text: list[str]  # what was generated, for an estimate if no usage comes

    @property
    def usage(self) -> Usage | None:
        """The tokens that the backend has told so far."""

    @property
    def finished(self) -> bool:
        """Whether nothing is missing but the last event."""

    def read(self, data: bytes) -> Kind:
        """The kind of the event with this data."""


class _Chunks(Protocol):
    def event(self, event: Json) -> list[Json]: ...

    def rest(self) -> list[Json]: ...


class Events(Protocol):
    """Writes chat chunks as the events of a client's format."""

    def chunk(self, chunk: Json) -> bytes:
        """The events of one chunk."""

    def end(self) -> bytes:
        """The last events."""


class StreamTranslation:
    """The events of a backend's stream as events of the client's format."""

    __slots__ = ("_chunks", "_events")

    def __init__(self, chunks: _Chunks | None, events: Events) -> None:
        self._chunks = chunks
        self._events = events

    def event(self, data: bytes) -> bytes:
        """The client's events for one event; empty where it has none for it."""
        try:
            found = msgspec.json.decode(data)
        except UNREADABLE:
            return b""
        if not isinstance(found, dict):
            return b""
        chunks = [found] if self._chunks is None else self._chunks.event(found)
        return b"".join([self._events.chunk(chunk) for chunk in chunks])

    def end(self, data: bytes = b"") -> bytes:
        """The client's last events, with what the backend's last one has to say or would have said."""
        if self._chunks is None:
            return self._events.end()
        last = self.event(data) if data else b""
        return last + b"".join([self._events.chunk(chunk) for chunk in self._chunks.rest()]) + self._events.end()


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a client speaks, and what the backend does."""

    client: Format
    upstream: Format
    path: str  # of the upstream's endpoint, below its base URL

    @property
    def translates(self) -> bool:
        """Whether anything has to be said in other words."""
        return self.client is not self.upstream

    # The way there

    def translated(self, body: bytes, *, mapping: MappingEntry) -> Json:
        """The request in the backend's format. Raises Untranslatable."""
        found = msgspec.json.decode(body)
        chat = _TO_CHAT[self.client](found)
        if self.upstream is Format.MESSAGES:
            return messages_from_chat(chat, max_tokens=mapping.max_tokens)
        return responses_from_chat(chat) if self.upstream is Format.RESPONSES else chat

    def write(self, intake: Intake, request: Json | None, *, mapping: MappingEntry, ask_usage: bool) -> bytes:
        """The body for a backend: `request` as it was translated, or the client's own around its original bytes."""
        native_id = mapping.native_id or intake.model
        tells_usage = ask_usage and self.upstream in (Format.CHAT, Format.COMPLETIONS)
        if request is None:
            if self.upstream is Format.MESSAGES:
                intake = _without_unsigned_thinking(intake)
            return write_request(intake, native_id=native_id, ask_usage=tells_usage)
        options = {"stream_options": {"include_usage": True}} if intake.stream and tells_usage else {}
        return msgspec.json.encode({**request, "model": native_id, "stream": intake.stream, **options})

    # The way back

    def reader(self, most_characters: int) -> Reader:
        """For the backend's stream."""
        return _READERS[self.upstream](most_characters)

    @property
    def last_event(self) -> bytes:
        """What ends a stream whose backend has left out nothing but the last event."""
        return _MESSAGE_STOP_EVENT if self.client is Format.MESSAGES else DONE_EVENT

    def usage(self, found: object) -> Usage | None:
        """Out of the backend's usage object."""
        return _USAGES[self.upstream](found)

    def read_answer(self, body: bytes) -> Answer | None:
        """Look at a whole answer; None if it is no JSON object, or broken off."""
        return read_answer(body, self.usage)

    def answer_text(self, body: bytes) -> str:
        """What a whole answer says, for an estimate of its tokens."""
        if self.upstream in _ANSWERS_TO_CHAT:
            try:
                body = msgspec.json.encode(_ANSWERS_TO_CHAT[self.upstream](msgspec.json.decode(body)))
            except (*UNREADABLE, Untranslatable):
                return ""
        return answer_text(body)

    def answer(self, body: bytes, *, request: bytes, model: str, created: int) -> bytes:
        """A whole answer in the client's format. Raises Untranslatable for what makes no sense."""
        found = msgspec.json.decode(body)
        chat = _ANSWERS_TO_CHAT[self.upstream](found) if self.upstream in _ANSWERS_TO_CHAT else found
        if self.upstream is not Format.CHAT:
            chat["created"] = created
        if self.client is Format.MESSAGES:
            chat = message_from_chat(chat, fallback_model=model)
        elif self.client is Format.RESPONSES:
            chat = response_from_chat(chat, request=msgspec.json.decode(request), created=created)
        return msgspec.json.encode(chat)

    def stream(
        self, *, request: bytes, model: str, created: int, wants_usage: bool, input_tokens: int
    ) -> StreamTranslation:
        """What translates the backend's stream; `input_tokens` is an estimate."""
        events: Events = ChatEvents(wants_usage=wants_usage)
        if self.client is Format.MESSAGES:
            events = MessageEvents(fallback_model=model, input_tokens=input_tokens)
        elif self.client is Format.RESPONSES:
            events = ResponseEvents(request=msgspec.json.decode(request), created=created, fallback_model=model)
        return self.to_chat(events, created=created)

    def to_chat(self, events: Events, *, created: int) -> StreamTranslation:
        """What makes chat chunks of the backend's stream, and has `events` written of them."""
        chunks: _Chunks | None = None
        if self.upstream is Format.MESSAGES:
            chunks = ChunksFromMessages(created=created)
        elif self.upstream is Format.RESPONSES:
            chunks = ChunksFromResponses(created=created)
        return StreamTranslation(chunks, events)

    def error(self, body: bytes, *, status: int, request_id: str) -> bytes:
        """An error body of the backend in the client's format."""
        if self.upstream is Format.MESSAGES:
            return openai_error_from_message_error(body)
        if self.client is Format.MESSAGES:
            return message_error_from_openai_error(body, status=status, request_id=request_id)
        return body

    def error_object(self, data: bytes) -> bytes:
        """An error event of the backend's stream as an object with an `error`, as other formats have it."""
        return openai_error_of_event(data) if self.upstream is Format.RESPONSES else data


def _without_unsigned_thinking(intake: Intake) -> Intake:
    messages = intake.envelope.get("messages")
    if messages is None:
        return intake
    cleaned = without_unsigned_thinking(bytes(messages))
    return msgspec.structs.replace(intake, envelope={**intake.envelope, "messages": msgspec.Raw(cleaned)})


def _same(request: Json) -> Json:
    return request


_TO_CHAT: dict[Format, Callable[[Json], Json]] = {
    Format.CHAT: _same,
    Format.MESSAGES: chat_from_messages,
    Format.RESPONSES: chat_from_responses,
}
_ANSWERS_TO_CHAT: dict[Format, Callable[[Json], Json]] = {
    Format.MESSAGES: lambda answer: chat_from_message(answer, created=0),
    Format.RESPONSES: lambda answer: chat_from_response(answer, created=0),
}
_READERS: dict[Format, Callable[[int], Reader]] = {
    Format.CHAT: StreamReader,
    Format.COMPLETIONS: StreamReader,
    Format.MESSAGES: MessagesReader,
    Format.RESPONSES: ResponsesReader,
}


def _plain_usage(found: object) -> Usage | None:
    # Images and transcriptions count like responses do, embeddings like chat.
    newer = isinstance(found, dict) and "input_tokens" in found
    return responses_usage(found) if newer else openai_usage(found)


_USAGES: dict[Format, Callable[[object], Usage | None]] = {
    Format.CHAT: openai_usage,
    Format.COMPLETIONS: openai_usage,
    Format.MESSAGES: anthropic_usage,
    Format.COUNT: anthropic_usage,
    Format.RESPONSES: responses_usage,
    Format.PLAIN: _plain_usage,
}


_DIALECTS = {
    (client, kind): Dialect(client, _SPOKEN.get(kind, Format.CHAT), _PATHS[_SPOKEN.get(kind, Format.CHAT)])
    for client in _TRANSLATED
    for kind in ApiKind
}
_NATIVE_KINDS = {
    client: frozenset(kind for kind in ApiKind if not _DIALECTS[client, kind].translates) for client in _TRANSLATED
}


def dialect_of(endpoint: Endpoint, kind: ApiKind) -> Dialect:
    """How a backend of this kind is asked for what a client asks of this endpoint."""
    known = _DIALECTS.get((endpoint.format, kind))
    return known if known is not None else Dialect(endpoint.format, endpoint.format, endpoint.name)


def native_kinds(endpoint: Endpoint) -> frozenset[ApiKind]:
    """The kinds of backends that need no translation for this endpoint."""
    return _NATIVE_KINDS.get(endpoint.format, EVERY_KIND)
