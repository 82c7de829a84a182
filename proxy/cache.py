"""Answers that equal requests get again: the place where they lie, in this process (`redis_cache.py`: in Redis)."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

from agenthub.core.clock import monotonic_seconds
from proxy.recording import Recorded

ENTRY_BYTES = 512
"""What an entry takes up beside its headers and body."""

LARGEST_PART = 8
"""An entry may have this part of all bytes at most, so that one answer does not push out all others."""

cache_total = Counter("agenthub_cache", "Look-ups of the response cache, and answers put into it.", ["result"])
HITS, MISSES, STORED = (cache_total.labels(result) for result in ("hit", "miss", "stored"))


class Cache(Protocol):
    """Keeps answers by the key of their request (`rules/cache_key.py`)."""

    async def get(self, key: bytes) -> Recorded | None:
        """The answer, unless there is none, or none any more. Never raises for a cache that is away."""

    def put(self, key: bytes, recorded: Recorded, ttl_seconds: float) -> None:
        """Keep an answer for `ttl_seconds` at most, instead of one that was there. It is kept soon, or not at all."""

    async def aclose(self) -> None:
        """End what is under way."""


@dataclass(frozen=True, slots=True)
class _Entry:
    recorded: Recorded
    size_bytes: int
    expires_at: float


class MemoryCache:
    """A cache of at most `most_bytes` in this process; what was not asked for the longest goes first.

    `now` is a clock that only goes forward, in seconds.
    """

    def __init__(self, most_bytes: int, *, now: Callable[[], float] = monotonic_seconds) -> None:
        self._most_bytes = most_bytes
        self._now = now
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the last one used at the end
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def resize(self, most_bytes: int) -> None:
        """Keep to another bound from now on."""
        self._most_bytes = most_bytes
        for key in [key for key, entry in self._entries.items() if entry.size_bytes > most_bytes // LARGEST_PART]:
            self._drop(key)
        self._shrink(most_bytes)

    async def get(self, key: bytes) -> Recorded | None:
        """See `Cache.get`."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at <= self._now():
            self._drop(key)
            entry = None
        if entry is None:
            MISSES.inc()
            return None
        self._entries.move_to_end(key)
        HITS.inc()
        return entry.recorded

    def put(self, key: bytes, recorded: Recorded, ttl_seconds: float) -> None:
        """See `Cache.put`. An answer of more than an eighth of the bound is not kept."""
        self._drop(key)
        size = recorded.size_bytes + len(key) + ENTRY_BYTES
        if ttl_seconds <= 0 or size > self._most_bytes // LARGEST_PART:
            return
        self._shrink(self._most_bytes - size)
        self._entries[key] = _Entry(recorded, size, self._now() + ttl_seconds)
        self.size_bytes += size
        STORED.inc()

    async def aclose(self) -> None:
        """See `Cache.aclose`."""
        self._entries.clear()
        self.size_bytes = 0

    def _shrink(self, most_bytes: int) -> None:
        while self.size_bytes > most_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes
