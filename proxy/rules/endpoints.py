"""The endpoints that the proxy itself serves, and which kinds of backends can serve each."""

from dataclasses import dataclass
from enum import Enum

from providers.rules.table import ApiKind, Service


class Format(Enum):
    """The wire format of an endpoint."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    MESSAGES = "messages"
    RESPONSES = "responses"
    PLAIN = "plain"  # JSON, or a form, that is passed through; only its model is understood


OPENAI_KINDS = frozenset({ApiKind.OPENAI_COMPLETIONS, ApiKind.OLLAMA, ApiKind.AZURE_OPENAI})
"""Kinds of backends that take OpenAI's older endpoints as they are; Ollama does so below its own /v1."""

OPENAI_LIKE_KINDS = OPENAI_KINDS | {ApiKind.OPENAI_RESPONSES}
EVERY_KIND = frozenset(ApiKind)

KINDS = (OPENAI_KINDS, OPENAI_LIKE_KINDS, EVERY_KIND)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint below /v1/."""

    name: str  # the path after /v1/, which is also appended to a backend's base URL
    format: Format = Format.PLAIN
    kinds: frozenset[ApiKind] = OPENAI_LIKE_KINDS
    streams: bool = False  # whether "stream": true means anything
    generates: bool = False  # whether the answer is generated text, whose tokens could be estimated
    service: Service | None = None  # what a backend must be flagged for to serve it without a model

    @property
    def path(self) -> str:
        """The client's path."""
        return f"/v1/{self.name}"


ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint("chat/completions", Format.CHAT, OPENAI_KINDS, streams=True, generates=True),
        Endpoint("completions", Format.COMPLETIONS, OPENAI_KINDS, streams=True, generates=True),
        Endpoint("embeddings", kinds=OPENAI_KINDS),
    )
}
