"""The endpoints that the proxy itself serves, and which kinds of backends can serve each."""

import re
from dataclasses import dataclass, replace
from enum import Enum

from providers.rules.table import ApiKind, Service


class Format(Enum):
    """The wire format of an endpoint."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    MESSAGES = "messages"
    RESPONSES = "responses"
    COUNT = "count"  # of the tokens of a message
    PLAIN = "plain"  # JSON, or a form, that is passed through; only its model is understood


OPENAI_KINDS = frozenset({ApiKind.OPENAI_COMPLETIONS, ApiKind.OLLAMA, ApiKind.AZURE_OPENAI})
"""Kinds of backends that take OpenAI's older endpoints as they are; Ollama does so below its own /v1."""

OPENAI_LIKE_KINDS = OPENAI_KINDS | {ApiKind.OPENAI_RESPONSES}
"""Those, and the one that differs from them by its way of chatting alone."""

EVERY_KIND = frozenset(ApiKind)

KINDS = (OPENAI_KINDS, OPENAI_LIKE_KINDS, EVERY_KIND, frozenset({ApiKind.ANTHROPIC_MESSAGES}))
"""All that any endpoint asks for: the table has an index for each."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint below /v1/."""

    name: str  # the path after /v1/, which is also appended to a backend's base URL
    format: Format = Format.PLAIN
    kinds: frozenset[ApiKind] = OPENAI_LIKE_KINDS
    method: str = "POST"
    streams: bool = False  # whether "stream": true means anything to the proxy
    generates: bool = False  # whether the answer is generated text, whose tokens could be estimated
    form: bool = False  # whether it takes multipart forms, which are kept on the disk and not in memory
    service: Service | None = None  # what a backend must be flagged for to serve it without a model
    names_resource: bool = False  # whether its path names what only one of the flagged backends may have

    @property
    def path(self) -> str:
        """The client's path."""
        return f"/v1/{self.name}"


_FILES = Endpoint("files", form=True, service=Service.FILES)

ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint("chat/completions", Format.CHAT, EVERY_KIND, streams=True, generates=True),
        Endpoint("completions", Format.COMPLETIONS, OPENAI_KINDS, streams=True, generates=True),
        Endpoint("messages", Format.MESSAGES, EVERY_KIND, streams=True, generates=True),
        Endpoint("messages/count_tokens", Format.COUNT, frozenset({ApiKind.ANTHROPIC_MESSAGES})),
        Endpoint("responses", Format.RESPONSES, EVERY_KIND, streams=True, generates=True),
        Endpoint("embeddings"),
        Endpoint("images/generations", service=Service.IMAGES),
        Endpoint("images/edits", form=True, service=Service.IMAGES),
        Endpoint("images/variations", form=True, service=Service.IMAGES),
        Endpoint("audio/speech", service=Service.AUDIO),
        Endpoint("audio/transcriptions", form=True, service=Service.AUDIO),
        Endpoint("audio/translations", form=True, service=Service.AUDIO),
        Endpoint("moderations", service=Service.MODERATIONS),
        Endpoint("rerank", service=Service.RERANK),
        _FILES,
    )
}
"""The POSTs by their paths."""

_FILE = re.compile(r"/v1/(files(?:/[A-Za-z0-9_.-]{1,200}(?:/content)?)?)")


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint of a request; None where there is none."""
    if method == "POST":
        return ENDPOINTS.get(path)
    found = _FILE.fullmatch(path)
    if found is None or method not in ("GET", "DELETE") or ".." in path:
        return None
    name = found.group(1)
    if method == "DELETE" and name.count("/") != 1:
        return None
    return replace(_FILES, name=name, method=method, form=False, names_resource=name != "files")


def methods_of(path: str) -> list[str]:
    """The methods that a path takes; empty for an unknown path."""
    return [method for method in ("GET", "POST", "DELETE") if endpoint_of(method, path) is not None]
