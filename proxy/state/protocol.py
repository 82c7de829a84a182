"""What the proxy keeps in mind about backends between requests, and what may happen to it.

`memory.py` and `keys.py` keep it in this process, `redis_backends.py` and `redis_keys.py` in a Redis that processes
share. The protocol is async where that has to be asked before a request may go on; what is only this process's own
knowledge is not.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct

from agenthub.core.params import RuntimeSettings
from providers.rules.table import BackendEntry, Candidate, ErrorKind, RoutingTable
from proxy.rules.caller import Caller
from proxy.rules.rate_headers import RateLeft
from proxy.rules.routing import PassedOver
from proxy.state.keys import Admission

T = TypeVar("T")

Told: TypeAlias = T | asyncio.Future[T]
"""What a keeper says at once, or a little later where it has to ask others; it never fails and is never cancelled."""


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

    processes: int
    """By how many limits are divided where each process enforces its share."""

    def apply(self, table: RoutingTable, settings: RuntimeSettings, *, now: float, epoch: float) -> None:
        """Take over a new table: limits, cooldowns and errors that other processes or people have set."""

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

    def release(self, lease: Lease, *, now: float, used_tokens: int) -> None:
        """The request has left the backend, and has used so many tokens of what it had reserved, or more."""

    def succeeded(self, lease: Lease, *, now: float, latency_seconds: float) -> Told[bool]:
        """Reset counts; True if there was something to reset that the database should know of."""

    def rate_limited(self, lease: Lease, *, now: float, given_seconds: float | None) -> Told[CooldownBegun | None]:
        """A 429; None if it belongs to a cooldown that began after the attempt did."""

    def failed(self, lease: Lease, *, now: float) -> Told[CooldownBegun | None]:
        """A 5xx, connection error or timeout; a cooldown if the window rule says so."""

    def errored(self, lease: Lease, *, now: float, kind: ErrorKind) -> Told[bool]:
        """The backend is out until someone clears it; True if that is news."""

    def load(self, candidate: Candidate) -> float:
        """How used the backend is, 0 … 1, for ordering."""

    def latency(self, candidate: Candidate) -> float:
        """Smoothed seconds to the first byte, 0 while unknown."""

    def view(self, backend: BackendEntry, *, now: float) -> BackendView:
        """The counters, for pages."""


class Limits(Protocol):
    """Limits and budgets of all client keys."""

    def seed(self, callers: Mapping[bytes, Caller], spent: Mapping[str, int], *, now: float, epoch: float) -> None:
        """Take over who the callers are, and what the ledger says that each has spent in its period, in picodollars."""

    async def admit(
        self, caller: Caller, *, now: float, epoch: float, tokens: Callable[[], int], picousd: Callable[[], int]
    ) -> Admission:
        """Let a request in and reserve what it needs, in one step. Raises RateLimited or BudgetExceeded."""

    def settle(self, admission: Admission, *, used_tokens: int, picousd: int | None) -> None:
        """The request has ended, and this is what it really used and cost (None: it has no price)."""

    def remaining(self, caller: Caller, *, now: float) -> tuple[RateLeft | None, RateLeft | None]:
        """What is left of the key's requests and of its tokens per minute; None where it has no such limit."""

    def spent(self, caller: Caller, *, epoch: float) -> int | None:
        """What the key has spent in the present period; None where this process does not know. Any thread may ask."""
