"""A stream that was cut after content and goes on at another backend, where the key or the model says so."""

from dataclasses import dataclass

from providers.rules.table import ApiKind, Candidate
from providers.rules.tokens import estimate_tokens
from proxy.rules.endpoints import Format
from proxy.wire.dialects import Dialect, StreamTranslation
from proxy.wire.prefill import ContinuedEvents, SaidSoFar, continued_request, prefill_way
from proxy.wire.usage import Usage


@dataclass(slots=True)
class Continuation:
    """What has been said, and what it has cost at the backends that were cut."""

    said: SaidSoFar
    usage: Usage
    cost_picousd: int | None

    def request(self, body: bytes, candidate: Candidate) -> bytes:
        """The chat request for the backend that goes on. Raises Untranslatable."""
        said = text = self.said.text
        if candidate.backend.api is ApiKind.ANTHROPIC_MESSAGES:
            said = text.rstrip()  # the format refuses a last message that ends with white space
        return continued_request(body, said=said, said_tokens=estimate_tokens(text), way=prefill_way(candidate))

    def stream(self, dialect: Dialect, *, created: int, wants_usage: bool) -> StreamTranslation:
        """What makes one unbroken stream of both."""
        text = self.said.text
        left_out = text[len(text.rstrip()) :] if dialect.upstream is Format.MESSAGES else ""
        events = ContinuedEvents(self.said.first, carried=self.usage, wants_usage=wants_usage, repeated=left_out)
        return dialect.to_chat(events, created=created)
