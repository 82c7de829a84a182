"""A stream that was cut after content and goes on at another backend, where the key or the model says so."""

from dataclasses import dataclass

from providers.rules.table import Candidate
from providers.rules.tokens import estimate_tokens
from proxy.wire.dialects import Dialect, StreamTranslation
from proxy.wire.prefill import ContinuedEvents, SaidSoFar, continued_request, prefill_way
from proxy.wire.usage import Usage


@dataclass(slots=True)
class Continuation:
    """What has been said, and what it has cost at the backends that were cut."""

    said: SaidSoFar
    usage: Usage

    def request(self, body: bytes, candidate: Candidate) -> bytes:
        """The chat request for the backend that goes on."""
        text = self.said.text
        return continued_request(body, said=text, said_tokens=estimate_tokens(text), way=prefill_way(candidate))

    def stream(self, dialect: Dialect, *, created: int, wants_usage: bool) -> StreamTranslation:
        """What makes one unbroken stream of both."""
        return dialect.to_chat(ContinuedEvents(self.said.first, wants_usage=wants_usage), created=created)
