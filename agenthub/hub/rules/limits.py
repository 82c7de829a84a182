"""How much of what one connection may send. Sent in WELCOME, as far as a client has to know."""

from typing import Any

from agenthub.hub.rules.frames import FRAME_BYTES, PIECE_BYTES
from agenthub.hub.rules.rate import Bucket
from agenthub.hub.rules.window import MOST_BYTES, MOST_MESSAGES

AGENT_RATES: dict[str, tuple[float, float]] = {
    "frames": (400, 800),
    "CHAT": (20, 100),
    "TASK": (20, 100),
    "CANCEL": (5, 20),
    "CHECKPOINT": (10, 50),
    "CHAT_STREAM": (100, 200),
    "CHAT_STREAM_END": (20, 100),
    "SYSTEM_LOG": (10, 50),
    "X": (20, 100),
    "stream bytes": (512 * 1024, 512 * 1024),
}
"""Frames a second, and at once."""

PERSON_RATES: dict[str, tuple[float, float]] = {
    "frames": (50, 100),
    "CHAT": (5, 20),
    "CANCEL": (5, 20),
    "AUTH_RESPONSE": (5, 20),
    "READ": (10, 50),
    "SUBSCRIBE": (5, 20),
    "X": (5, 20),
}
NOTES = 0.2, 5
"""Warnings about a plain client."""

PERSON_SOCKETS = 10
ADDRESS_FAILURES, ADDRESS_FAILURES_SECONDS = 50, 60.0


def bucket_for(kind: str, *, person: bool) -> Bucket | None:
    """The full bucket of a type of frame; None for one that has no limit of its own."""
    rates = PERSON_RATES if person else AGENT_RATES
    found = rates.get("X" if kind.startswith("X_") else kind)
    return Bucket(*found) if found is not None else None


def told(*, person: bool) -> dict[str, Any]:
    """The limits, as WELCOME tells them."""
    rates = PERSON_RATES if person else AGENT_RATES
    return {
        "frame": FRAME_BYTES,
        "piece": PIECE_BYTES,
        "rate": {kind: {"per_second": rate, "burst": burst} for kind, (rate, burst) in rates.items() if kind.isupper()},
        "inflight": {"messages": MOST_MESSAGES, "bytes": MOST_BYTES},
    }
