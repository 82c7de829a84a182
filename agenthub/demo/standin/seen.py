"""What the stand-in remembers of the requests that it was sent."""

from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(slots=True, eq=False)
class Seen:
    """One request, and what became of it."""

    backend: str
    method: str
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes = field(repr=False)
    chunks_sent: int = 0  # counted just before they go out
    stalled: bool = False  # the caller read more slowly than the answer was written
    finished: bool = False  # answered as scripted, to the end
    disconnected: bool = False  # the caller left before that

    @property
    def json(self) -> dict[str, Any]:
        """The body, read as JSON."""
        return msgspec.json.decode(self.body, type=dict[str, Any])
