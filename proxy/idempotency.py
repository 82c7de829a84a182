"""`Idempotency-Key`: a request is not sent upstream twice; who repeats it waits for the first answer, or gets it.

`MemoryIdempotency` remembers in this process; `redis_idempotency.py` does so for all processes of a hub.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from prometheus_client import Counter

from agenthub.core.clock import monotonic_seconds
from agenthub.core.errors import IdempotencyAnswerNotKept, IdempotencyKeyReused, QueueFull
from proxy.recording import Recorded, Recording
from proxy.rules.idempotency import KEEP_SECONDS, entry_name, may_repeat

MOST_KEYS = 10_000
MOST_BYTES = 64 * 1024 * 1024
MOST_ANSWER_BYTES = 8 * 1024 * 1024

idempotent_replays_total = Counter(
    "agenthub_idempotent_replays", "Requests answered with the answer of an earlier one."
)


@dataclass(frozen=True, slots=True)
class Settled:
    """How a request has ended for good."""

    recorded: Recorded | None  # None: it was answered, but the answer is not kept
    keep_seconds: float = KEEP_SECONDS


class Turn:
    """What to do with a request: send `recorded` where there is one, else carry the request out and say how it went.

    Who carries it out calls one of `done`, `failed` and `settle`, in any case; the first call counts.
    """

    __slots__ = ("_end", "recorded")

    def __init__(self, recorded: Recorded | None, end: Callable[[Settled | None], None] | None = None) -> None:
        self.recorded = recorded
        self._end = end

    @property
    def mine(self) -> bool:
        """Whether the request is to be carried out now."""
        return self.recorded is None

    def done(self, recorded: Recorded | None) -> None:
        """It was answered; None if the answer was too large to be kept. A 429 or 5xx settles nothing: as `failed`."""
        settled = recorded is None or may_repeat(recorded.status)
        self.end(Settled(recorded) if settled else None)

    def failed(self) -> None:
        """Nothing was settled; whoever waits takes over."""
        self.end(None)

    def settle(self, recording: Recording) -> None:
        """`done` or `failed`, as the recording of what was sent to the client tells."""
        if recording.finished and may_repeat(recording.status):
            self.done(recording.result())
        else:
            self.failed()

    def end(self, settled: Settled | None) -> None:
        """How it went; None for `failed`."""
        end, self._end = self._end, None
        if end is not None:
            end(settled)


class Store(Protocol):
    """Remembers requests by the name that their key has (`rules/idempotency.py`)."""

    async def begin(self, name: bytes, fingerprint: bytes) -> Turn:
        """See `Idempotency.begin`."""

    async def aclose(self) -> None:
        """End what is under way."""


class Idempotency:
    """The door to a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, caller_id: str, key: str, fingerprint: bytes) -> Turn:
        """Whose turn it is, once that is known: waits while the same request is being carried out.

        Raises BadRequest for a key that can't be one, IdempotencyKeyReused if the key came with another fingerprint,
        IdempotencyAnswerNotKept if the answer was too large, QueueFull. Who is cancelled no longer waits.
        """
        turn = await self._store.begin(entry_name(caller_id, key), fingerprint)
        if not turn.mine:
            idempotent_replays_total.inc()
        return turn

    async def aclose(self) -> None:
        """End what is under way."""
        await self._store.aclose()


def reused() -> IdempotencyKeyReused:
    """The refusal of a key that came with another request before."""
    return IdempotencyKeyReused(
        "This Idempotency-Key came with another request before. Use a new key for each request."
    )


def repeat(settled: Settled) -> Turn:
    """The turn of who comes later. Raises IdempotencyAnswerNotKept."""
    if settled.recorded is None:
        raise IdempotencyAnswerNotKept(
            "The request with this Idempotency-Key was answered, but its answer is not kept. It is not sent a second "
            "time; use a new key to send it anew."
        )
    return Turn(settled.recorded)


class _Entry:
    """One key."""

    __slots__ = ("expires_at", "fingerprint", "name", "settled", "waiters")

    def __init__(self, name: bytes, fingerprint: bytes) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.settled: Settled | None = None  # None: the request is being carried out
        self.expires_at = 0.0  # of what is settled
        self.waiters: deque[asyncio.Future[Settled | None]] = deque()


class MemoryIdempotency:
    """See `Store`. Remembers at most `most_keys` keys, and of their answers at most `most_bytes`.

    Beyond `most_keys` the keys answered first are forgotten; beyond `most_bytes` only their answers are, since a
    request must not be sent twice because others came between. `now` is a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        *,
        most_keys: int = MOST_KEYS,
        most_bytes: int = MOST_BYTES,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
        now: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._most_keys = most_keys
        self._most_bytes = most_bytes
        self._most_answer_bytes = most_answer_bytes
        self._now = now
        self._running: dict[bytes, _Entry] = {}
        self._finished: OrderedDict[bytes, _Entry] = OrderedDict()  # the first one answered first
        self._answers: OrderedDict[bytes, int] = OrderedDict()  # those of them with an answer, and its bytes
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._finished)

    async def begin(self, name: bytes, fingerprint: bytes) -> Turn:
        """See `Idempotency.begin`."""
        entry = self._known(name)
        if entry is None:
            return self._turn(self._new(name, fingerprint))
        if entry.fingerprint != fingerprint:
            raise reused()
        settled = entry.settled
        if settled is None:
            settled = await self._wait(entry)
        return self._turn(entry) if settled is None else repeat(settled)

    async def aclose(self) -> None:
        """See `Store.aclose`."""

    def _known(self, name: bytes) -> _Entry | None:
        now = self._now()
        while self._finished and (oldest := next(iter(self._finished.values()))).expires_at <= now:
            self._forget(oldest.name)
        entry = self._finished.get(name)
        if entry is None:
            return self._running.get(name)
        if entry.expires_at <= now:  # what another process has answered is kept for a shorter time here
            self._forget(name)
            return None
        return entry

    def _turn(self, entry: _Entry) -> Turn:
        return Turn(None, partial(self._end, entry))

    def _new(self, name: bytes, fingerprint: bytes) -> _Entry:
        if len(self) >= self._most_keys:
            if not self._finished:
                raise QueueFull(
                    f"{len(self)} requests with an Idempotency-Key are under way, as many as can be remembered.",
                    retry_after_seconds=5,
                )
            self._forget(next(iter(self._finished)))
        entry = self._running[name] = _Entry(name, fingerprint)
        return entry

    async def _wait(self, entry: _Entry) -> Settled | None:
        """How the request has ended; None if it is this one's turn now."""
        waiter: asyncio.Future[Settled | None] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            with suppress(ValueError):
                entry.waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.result() is None:
                self._pass_on(entry)  # it had become its turn in the moment in which its client left
            raise

    def _end(self, entry: _Entry, settled: Settled | None) -> None:
        if settled is None:
            self._pass_on(entry)
            return
        del self._running[entry.name]
        self._keep(entry, settled)
        # Those who wait get the answer in any case, also one that is too large to be kept.
        while entry.waiters:
            waiter = entry.waiters.popleft()
            if not waiter.done():
                waiter.set_result(settled)

    def _pass_on(self, entry: _Entry) -> None:
        while entry.waiters:
            waiter = entry.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        del self._running[entry.name]

    def _keep(self, entry: _Entry, settled: Settled) -> None:
        size = settled.recorded.size_bytes if settled.recorded is not None else 0
        entry.settled = settled if size <= self._most_answer_bytes else Settled(None)
        entry.expires_at = self._now() + settled.keep_seconds
        self._finished[entry.name] = entry
        if entry.settled.recorded is not None:
            self._answers[entry.name] = size
            self.size_bytes += size
        while self.size_bytes > self._most_bytes:
            oldest, size = self._answers.popitem(last=False)
            self.size_bytes -= size
            self._finished[oldest].settled = Settled(None)

    def _forget(self, name: bytes) -> None:
        del self._finished[name]
        self.size_bytes -= self._answers.pop(name, 0)
