"""Asking Redis on the way of a request: briefly, and not again at once when it does not answer.

Only modules that need Redis import this one, so that an embedded hub never loads the client library.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from agenthub.core.clock import monotonic_seconds
from proxy.rules.breaker import Breaker

logger = logging.getLogger(__name__)

CALL_SECONDS = 0.1
OUTAGE_SECONDS = 1.0
MOST_CONNECTIONS = 32
MOST_TASKS = 256

T = TypeVar("T")


class RedisAway(Exception):
    """Redis did not answer in time, answered with an error, or has just done so and is not asked at the moment."""


class RedisLink:
    """Connections to one Redis, with a time limit for every call and a breaker over all of them.

    `purpose` is for the log, which has one line when an outage begins and one when it ends. Belongs to an event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        purpose: str,
        call_seconds: float = CALL_SECONDS,
        now: Callable[[], float] = monotonic_seconds,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=MOST_CONNECTIONS, timeout=call_seconds, retry=Retry(NoBackoff(), 0)
        )
        self._redis = Redis.from_pool(pool)
        self._purpose = purpose
        self._call_seconds = call_seconds
        self._now = now
        self._breaker = Breaker(OUTAGE_SECONDS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, command: Callable[["Redis"], Awaitable[T]]) -> T:
        """What `command` gets from Redis within the time limit. Raises RedisAway."""
        if not self._breaker.allows(self._now()):
            raise RedisAway("Redis has not answered a moment ago.")
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await command(self._redis)
        except (RedisError, OSError) as problem:
            reason = str(problem) or f"no answer within {self._call_seconds} s"
            if self._breaker.failed(self._now()):
                logger.warning("redis_away", extra={"purpose": self._purpose, "reason": reason})
            raise RedisAway(reason) from problem
        except BaseException:
            self._breaker.abandoned()
            raise
        if self._breaker.succeeded():
            logger.info("redis_back", extra={"purpose": self._purpose})
        return answer

    def script(self, source: str) -> AsyncScript:
        """A script for `run`; it is sent to Redis when it is run first."""
        return self._redis.register_script(source)

    async def run(self, script: AsyncScript, key: bytes, arguments: Sequence[bytes | int]) -> Any:
        """Run a script on one key. Raises RedisAway."""
        return await self.call(lambda _: script(keys=[key], args=arguments))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do something in the background, whether Redis is there for it or not; False if too much is under way."""
        if len(self._tasks) >= MOST_TASKS:
            work.close()
            return False
        task = asyncio.get_running_loop().create_task(_unless_away(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def settled(self) -> None:
        """Wait for what is under way in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Let what is under way end, which its time limits see to, and close the connections."""
        await self.settled()
        await self._redis.aclose()


async def _unless_away(work: Coroutine[Any, Any, Any]) -> None:
    with suppress(RedisAway):
        await work
