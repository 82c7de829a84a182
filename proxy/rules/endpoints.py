"""The POST endpoints that the proxy itself serves."""

from dataclasses import dataclass

from providers.rules.table import ApiKind


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint below /v1/."""

    name: str  # the path after /v1/, which is also appended to a backend's base URL
    streams: bool  # whether "stream": true means anything
    generates: bool = True  # whether the answer is generated text, whose tokens could be estimated

    @property
    def path(self) -> str:
        """The client's path."""
        return f"/v1/{self.name}"


ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint("chat/completions", streams=True),
        Endpoint("completions", streams=True),
        Endpoint("embeddings", streams=False, generates=False),
    )
}

SPOKEN = frozenset({ApiKind.OPENAI_COMPLETIONS, ApiKind.OLLAMA})
"""Kinds of backends that take these endpoints as they are; Ollama does so below its own /v1."""
