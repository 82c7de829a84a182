"""What processes share in one Redis: kept connected, kept alive, and told to the parts of the proxy that need it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from proxy.redis_link import CALL_SECONDS, RedisAway
from proxy.rules.breaker import Breaker
from proxy.rules.caller import Period
from proxy.state import scripts
from proxy.state.keys import BudgetMark, BudgetRenewed
from proxy.state.mirror import MirrorLimits
from proxy.state.redis_backends import RedisState
from proxy.state.redis_keys import RedisKeyLimits
from proxy.state.shared import LEASE_SECONDS, Shared
from proxy.waiting import WaitingRoom

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
"""How long Redis is left alone after it has not answered."""

BEAT_SECONDS = 0.25
"""How often each process says how many wait in it. So it also notices that Redis is away before a request has to."""

CHANGED = "changed"


class SharedState:
    """The shared state of one process: `backends` and `key_limits` work with it from `run` on, alone before.

    `changed` hears that routes, keys or settings may have changed in the database.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        processes: int,
        changed: Callable[[], None],
        call_seconds: float = CALL_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._url = url
        self._changed = changed
        self._shared = Shared(
            url, prefix=prefix, on_lost=self._lost, call_seconds=call_seconds, lease_seconds=lease_seconds
        )
        self.backends = RedisState(self._shared, processes=processes)
        self._processes = processes
        self._breaker = Breaker(RETRY_SECONDS)
        self._away = asyncio.Event()
        self._away.set()
        self._room: WaitingRoom | None = None

    @property
    def is_shared(self) -> bool:
        """Whether limits are those of all processes together; else each has its share."""
        return self._shared.is_shared

    def key_limits(
        self, *, turnover: Callable[[Period, float], float], on_mark: BudgetMark, on_renewed: BudgetRenewed
    ) -> RedisKeyLimits:
        """The limits of client keys. What is told of budgets, each process tells when it hears of it."""
        mirror = MirrorLimits(turnover=turnover, on_mark=on_mark, on_renewed=on_renewed, processes=self._processes)
        return RedisKeyLimits(self._shared, mirror)

    async def connect(self) -> bool:
        """Share from now on, if Redis is there."""
        try:
            await self._shared.pipe.open()
        except RedisAway as problem:
            self._lost(str(problem))
            return False
        if self._breaker.succeeded():
            logger.info("shared_state_back")
        self._away.clear()
        self._shared.begin(self.backends.restore)
        return True

    def _lost(self, reason: str) -> None:
        if self._breaker.failed(self._shared.monotonic()):
            logger.warning("shared_state_away", extra={"reason": reason, "share": f"1/{self._processes}"})
        self._away.set()
        if self._room is not None:
            # Nobody knows how many wait elsewhere; and those who wait here may take this process's share now.
            self._room.elsewhere = 0
            self._room.poke()

    async def run(self, room: WaitingRoom) -> None:
        """Stay connected, for ever."""
        self._room = room
        while True:
            if self.is_shared or (self._breaker.allows(self._shared.monotonic()) and await self.connect()):
                await self._stay()
            await asyncio.sleep(RETRY_SECONDS)

    async def _stay(self) -> None:
        tasks = [
            asyncio.create_task(self._beat(), name="shared state beat"),
            asyncio.create_task(self._listen(), name="shared state news"),
        ]
        try:
            await self._away.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat(self) -> None:
        renewed_at = self._shared.monotonic()
        while True:
            room = self._room
            depth = room.depth if room is not None else 0
            ask = {"process": self._shared.process, "depth": depth}
            self._shared.send(scripts.DEPTH, [self._shared.names + b"depth"], ask, self._heard_depth)
            if self._shared.monotonic() - renewed_at >= self._shared.lease_seconds / 3:
                renewed_at = self._shared.monotonic()
                self._shared.renew()
            await asyncio.sleep(BEAT_SECONDS)

    def _heard_depth(self, answer: Any) -> None:
        if answer is not None and self._room is not None:
            self._room.elsewhere = int(answer[1])

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                async with Redis.from_url(self._url, socket_timeout=None) as client, client.pubsub() as news:
                    await news.subscribe(self._shared.channel)
                    # Something may have been said while nobody listened.
                    self._changed()
                    async for message in news.listen():
                        if message["type"] == "message":
                            self._heard(message["data"])
            await asyncio.sleep(RETRY_SECONDS)

    def _heard(self, data: bytes) -> None:
        try:
            word, *details = msgspec.msgpack.decode(data, type=list[Any])
        except (msgspec.DecodeError, ValueError):
            return  # another version's
        if word == CHANGED:
            self._changed()
        else:
            self.backends.heard(word, *details)

    async def aclose(self) -> None:
        """Say what has not been said yet, and close the connection."""
        await self._shared.pipe.aclose()
