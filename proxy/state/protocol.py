"""What the proxy keeps in mind about backends between requests, and what may happen to it.

`memory.py` keeps it in this process. The protocol is async where another keeper would have to ask across a network;
what is only this process's own knowledge is not.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from providers.rules.table import BackendEntry, Candidate, ErrorKind
from proxy.rules.routing import PassedOver


class Lease(Struct):
    """A taken candidate: one request of its limits, until it is released."""

    candidate: Candidate
    taken_at: float  # monotonic seconds
    trial: bool = False  # the one request that a half-open backend gets, or the rare one of a backend out of quota
    emergency: bool = False
    reserved_tokens: int = 0  # taken of the backend's tokens per minute by estimate


@dataclass(frozen=True, slots=True)
class CooldownBegun:
    """News for the event log: a cooldown began, or an open one got a later end."""

    backend_id: str
    seconds: float
    consecutive_count: int
    reason: str  # "rate_limited" or "failures"
    extended: bool = False


@dataclass(frozen=True, slots=True)
class BackendView:
    """A backend's counters at one moment, for pages."""

    tokens: float | None  # None: unlimited
    capacity: float | None
    rate_per_minute: float | None
    utilization: float  # 0 … 1
    in_flight: int
    cooling_seconds: float
    consecutive_429_count: int
    half_open: bool
    error_kind: ErrorKind


class State(Protocol):
    """Limits, cooldown clocks and counts of all backends."""

    async def take_first(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Callable[[], int]
    ) -> tuple[Lease | None, Sequence[PassedOver]]:
        """Take the first candidate that may be taken (check and take are one step), else say why none could be.

        `tokens` is asked for the estimate to reserve only where a backend has a limit of tokens per minute.
        """

    async def passed_over(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Callable[[], int]
    ) -> Sequence[PassedOver]:
        """Who could not be taken at the moment and why, without taking anybody."""

    async def take_emergency(self, candidate: Candidate, *, now: float) -> Lease | None:
        """Take a token of the candidate's emergency bucket; None if it has none."""

    def give_back(self, lease: Lease) -> None:
        """Nothing was sent to the backend after all: undo the taking."""

    def release(self, lease: Lease, *, used_tokens: int) -> None:
        """The request has left the backend, and has used so many tokens of what it had reserved, or more."""

    def succeeded(self, lease: Lease, *, now: float, latency_seconds: float) -> bool:
        """Reset counts; True if there was something to reset that the database should know of."""

    def rate_limited(self, lease: Lease, *, now: float, given_seconds: float | None) -> CooldownBegun | None:
        """A 429; None if it belongs to a cooldown that began after the attempt did."""

    def failed(self, lease: Lease, *, now: float) -> CooldownBegun | None:
        """A 5xx, connection error or timeout; a cooldown if the window rule says so."""

    def errored(self, lease: Lease, *, now: float, kind: ErrorKind) -> bool:
        """The backend is out until someone clears it; True if that is news."""

    def load(self, candidate: Candidate) -> float:
        """How used the backend is, 0 … 1, for ordering."""

    def latency(self, candidate: Candidate) -> float:
        """Smoothed seconds to the first byte, 0 while unknown."""

    def view(self, backend: BackendEntry, *, now: float) -> BackendView:
        """The counters, for pages."""
