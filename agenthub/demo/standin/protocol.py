"""What a connection and the formats tell each other: the request, and the answer as a whole or as a stream."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from agenthub.demo.standin.multipart import Form
from agenthub.demo.standin.script import Script

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as its format reads it: `body` is its JSON object or, of a multipart request, its fields."""

    script: Script
    body: dict[str, Any]
    form: Form


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that is sent in one piece."""

    status: int
    body: bytes
    content_type: str = JSON


class Events(Protocol):
    """An answer that is streamed. Its parts are asked for in order, each chunk once."""

    content_type: str
    chunks: int

    def opening(self) -> Iterable[bytes]:
        """What precedes the first chunk."""

    def chunk(self, number: int) -> bytes:
        """One chunk; the first has number 0."""

    def closing(self) -> Iterable[bytes]:
        """What follows the last chunk."""


class Refused(Exception):
    """The stand-in refuses by itself, as a provider would, and not because it was told to."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def sse(kind: str, data: bytes) -> bytes:
    """A server-sent event with a name."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
