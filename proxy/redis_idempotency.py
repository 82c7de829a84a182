"""`Idempotency-Key` across processes, in Redis.

The memory of this process comes first: requests with the same key in one process wait for each other there, and only
one of them asks Redis. So an outage of Redis costs what processes know of each other, and nothing else.

A key's value is a version byte, a letter for the state, the 32 bytes of the fingerprint, and then for `r` (being
carried out) the token of who does it, for `d` (done) the packed answer, for `n` (answered, not kept) nothing.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from agenthub.core.clock import monotonic_seconds
from proxy.idempotency import MemoryIdempotency, Settled, Turn, repeat, reused
from proxy.recording import pack, unpack
from proxy.redis_link import CALL_SECONDS, RedisAway, RedisLink
from proxy.rules.idempotency import DIGEST_BYTES

NAMESPACE = b"ah1:idem:"
LEASE_SECONDS = 60.0
POLL_SECONDS = 0.05
MOST_ANSWER_BYTES = 1024 * 1024

_VERSION = b"\x01"
_RUNNING, _DONE, _NOT_KEPT = b"r", b"d", b"n"

# Take the key, or say what stands there and for how many milliseconds yet.
_CLAIM = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {} end
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
"""
# Put a value in the place of one's own. A Redis that was emptied meanwhile has none, which is as good.
_REPLACE = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class _Claim:
    """A request that this process carries out."""

    __slots__ = ("ending", "key", "value")

    def __init__(self, key: bytes, fingerprint: bytes) -> None:
        self.key = key
        self.value = _VERSION + _RUNNING + fingerprint + secrets.token_bytes(16)
        self.ending: asyncio.Future[Settled | None] = asyncio.get_running_loop().create_future()


class RedisIdempotency:
    """See `Store`. Keeps answers up to 1 MiB for other processes; this one keeps what `local` does.

    A claim has a lease, renewed while the request is carried out: when the process dies, another one takes over after
    `lease_seconds`. Who waits for another process looks every `poll_seconds`, up to half as long again.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        local: MemoryIdempotency | None = None,
        chance: random.Random | None = None,
        lease_seconds: float = LEASE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        call_seconds: float = CALL_SECONDS,
        now: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._link = RedisLink(url, purpose="idempotency", call_seconds=call_seconds, now=now)
        self._prefix = prefix.encode() + NAMESPACE
        self._local = local if local is not None else MemoryIdempotency()
        self._chance = chance if chance is not None else random.Random()
        self._lease_seconds = lease_seconds
        self._lease_ms = int(lease_seconds * 1000)
        self._poll_seconds = poll_seconds
        self._claim_script = self._link.script(_CLAIM)
        self._replace_script = self._link.script(_REPLACE)
        self._release_script = self._link.script(_RELEASE)
        self._keepers: dict[asyncio.Task[None], _Claim] = {}

    async def begin(self, name: bytes, fingerprint: bytes) -> Turn:
        """See `Idempotency.begin`."""
        turn = await self._local.begin(name, fingerprint)
        if not turn.mine:
            return turn
        claim = _Claim(self._prefix + name.hex().encode(), fingerprint)
        try:
            settled = await self._settled_elsewhere(claim, fingerprint)
            if settled is not None:
                return self._learn(turn, settled)
        except BaseException:
            # The claim may have reached Redis although its answer did not come back.
            self._link.spawn(self._write_end(claim, None))
            turn.failed()
            raise
        keeper = asyncio.get_running_loop().create_task(self._look_after(claim))
        self._keepers[keeper] = claim
        keeper.add_done_callback(self._keepers.pop)
        return Turn(None, partial(self._end, claim, turn))

    def _learn(self, turn: Turn, settled: Settled) -> Turn:
        found = repeat(settled)
        turn.end(settled)
        return found

    async def _settled_elsewhere(self, claim: _Claim, fingerprint: bytes) -> Settled | None:
        """How the request has ended in another process; None if it is to be carried out here."""
        while True:
            try:
                found = await self._ask(claim)
            except RedisAway:
                return None
            if not found or found[0] == claim.value:
                return None
            head, rest = found[0][: DIGEST_BYTES + 2], found[0][DIGEST_BYTES + 2 :]
            state = head[1:2]
            if head[:1] != _VERSION or state not in (_RUNNING, _DONE, _NOT_KEPT):
                return None  # another version's: it can't be told what it means
            if head[2:] != fingerprint:
                raise reused()
            if state != _RUNNING:
                return Settled(unpack(rest) if state == _DONE else None, keep_seconds=max(0, found[1]) / 1000)
            await asyncio.sleep(self._poll_seconds * self._chance.uniform(1, 1.5))

    async def _ask(self, claim: _Claim) -> Any:
        """Claim the key, or learn who has it. Raises RedisAway."""
        asking = asyncio.ensure_future(self._link.run(self._claim_script, claim.key, [claim.value, self._lease_ms]))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # What is on the wire may claim the key yet: it is let go only after that, or the lease would hold it.
            self._link.spawn(self._let_go_after(asking, claim))
            raise

    async def _let_go_after(self, asking: "asyncio.Future[Any]", claim: _Claim) -> None:
        with suppress(RedisAway):
            await asking
        await self._write_end(claim, None)

    def _end(self, claim: _Claim, turn: Turn, settled: Settled | None) -> None:
        claim.ending.set_result(settled)
        turn.end(settled)

    async def _look_after(self, claim: _Claim) -> None:
        """Renew the lease until it is known how the request has ended, then write that down."""
        while not claim.ending.done():
            await asyncio.wait((claim.ending,), timeout=self._lease_seconds / 3)
            if not claim.ending.done():
                with suppress(RedisAway):
                    await self._replace(claim, claim.value, self._lease_ms)
        with suppress(RedisAway):
            await self._write_end(claim, claim.ending.result())

    async def _write_end(self, claim: _Claim, settled: Settled | None) -> None:
        if settled is None:
            await self._link.run(self._release_script, claim.key, [claim.value])
            return
        recorded, fingerprint = settled.recorded, claim.value[2 : 2 + DIGEST_BYTES]
        if recorded is not None and recorded.size_bytes <= MOST_ANSWER_BYTES:
            value = _VERSION + _DONE + fingerprint + pack(recorded)
        else:
            value = _VERSION + _NOT_KEPT + fingerprint
        await self._replace(claim, value, int(settled.keep_seconds * 1000))

    async def _replace(self, claim: _Claim, value: bytes, keep_ms: int) -> None:
        await self._link.run(self._replace_script, claim.key, [claim.value, value, keep_ms])

    async def written(self) -> None:
        """Wait until Redis knows of every end, or is away."""
        ended = [keeper for keeper, claim in self._keepers.items() if claim.ending.done()]
        if ended:
            await asyncio.wait(ended)

    async def aclose(self) -> None:
        """See `Store.aclose`. Who has not said by now how its request went leaves it to the lease."""
        for keeper, claim in self._keepers.items():
            if not claim.ending.done():
                keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        await self._link.aclose()
