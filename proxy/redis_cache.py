"""The response cache in Redis, shared by all processes of a hub."""

from collections.abc import Callable
from functools import partial

from redis.asyncio import Redis

from agenthub.core.clock import monotonic_seconds
from proxy.cache import HITS, MISSES, STORED
from proxy.recording import Recorded, pack, unpack
from proxy.redis_link import CALL_SECONDS, RedisAway, RedisLink

NAMESPACE = "ah1:cache:"


class RedisCache:
    """See `Cache`. With Redis away every look-up is a miss and nothing is stored.

    Redis itself ends the entries; its own bound (`maxmemory`) is its operator's, so give it a policy that evicts.
    `prefix` stands before all keys.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        most_bytes_per_entry: int,
        call_seconds: float = CALL_SECONDS,
        now: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._link = RedisLink(url, purpose="cache", call_seconds=call_seconds, now=now)
        self._prefix = prefix + NAMESPACE
        self._most_bytes = most_bytes_per_entry

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()

    async def get(self, key: bytes) -> Recorded | None:
        """See `Cache.get`."""
        try:
            data = await self._link.call(lambda redis: redis.get(self._name(key)))
        except RedisAway:
            data = None
        recorded = unpack(data) if isinstance(data, bytes) else None
        (MISSES if recorded is None else HITS).inc()
        return recorded

    def put(self, key: bytes, recorded: Recorded, ttl_seconds: float) -> None:
        """See `Cache.put`. An answer that is too large is not kept, nor the older one in its place."""
        name = self._name(key)
        data = pack(recorded)
        if ttl_seconds > 0 and len(data) <= self._most_bytes:
            self._link.spawn(self._store(name, data, max(1, int(ttl_seconds * 1000))))
        else:
            self._link.spawn(self._link.call(partial(_delete, name)))

    async def _store(self, name: str, data: bytes, ttl_ms: int) -> None:
        await self._link.call(lambda redis: redis.set(name, data, px=ttl_ms))
        STORED.inc()

    async def stored(self) -> None:
        """Wait until all that was put is stored, or is not going to be."""
        await self._link.settled()

    async def aclose(self) -> None:
        """See `Cache.aclose`."""
        await self._link.aclose()


async def _delete(name: str, redis: "Redis") -> None:
    await redis.delete(name)
