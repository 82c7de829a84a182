"""A streamed answer as a client that trusts nobody reads it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(slots=True)
class Streamed:
    """What came, and how it ended."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    broken: bool = False  # the connection ended, but not the answer

    @property
    def events(self) -> list[str]:
        """The data of the events."""
        return [block.removeprefix("data: ") for block in self.raw.decode().split("\n\n") if block]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that hold JSON."""
        return [json.loads(event) for event in self.events if event.startswith("{")]

    @property
    def text(self) -> str:
        """What the model has said."""
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", [])]
        return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)

    @property
    def done(self) -> bool:
        """Whether it says itself that it is complete."""
        return self.events[-1:] == ["[DONE]"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors among the events."""
        return [chunk["error"] for chunk in self.chunks if chunk.get("error")]


def read_stream(client: httpx.Client, body: dict[str, Any], path: str = "/v1/chat/completions") -> Streamed:
    """Ask for a stream and read it to its end, whatever that is."""
    streamed = Streamed()
    try:
        for piece in pieces(client, body, streamed, path):
            streamed.raw += piece
    except (httpx.RemoteProtocolError, httpx.ReadError):
        streamed.broken = True
    return streamed


def pieces(
    client: httpx.Client, body: dict[str, Any], streamed: Streamed, path: str = "/v1/chat/completions"
) -> Iterator[bytes]:
    """The pieces as they arrive; leaving the loop hangs up."""
    with client.stream("POST", path, json=body | {"stream": True}) as answer:
        streamed.status, streamed.headers = answer.status_code, dict(answer.headers)
        yield from answer.iter_raw()
