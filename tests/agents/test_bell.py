"""What gateways tell each other over a Redis that other hubs use too."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from agenthub.core.environment import read_environment
from agenthub.hub.gateway.bell import RedisBell

pytestmark = pytest.mark.asyncio


class Hearing:
    """A gateway's bell, and what it has heard."""

    def __init__(self, url: str, name: str) -> None:
        self.bell = RedisBell(url, name=name)
        self.bell.heard = lambda *word: self.words.put_nowait(word)
        self.words: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()


@asynccontextmanager
async def hearing(url: str, *names: str) -> AsyncIterator[list[Hearing]]:
    """Gateways of hubs with these names, once Redis knows that they listen."""
    found = [Hearing(url, name) for name in names]
    tasks = [asyncio.create_task(each.bell.run()) for each in found]
    try:
        async with Redis.from_url(url) as redis:
            topics = [f"{name}:hub" for name in set(names)]
            while sum(count for _, count in await redis.pubsub_numsub(*topics)) < len(names):
                continue  # each look is a way to Redis and back
        yield found
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_copy_of_a_hub_hears_nothing_of_its_original(redis_url: str, tmp_path: Path) -> None:
    secrets_of_both = {
        "AGENTHUB_DATA_DIR": str(tmp_path),
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": secrets.token_hex(32),
        "REDIS_URL": redis_url,
    }
    original, copy = (
        read_environment({**secrets_of_both, "DATABASE_URL": f"postgresql://user:word@db/{database}"}).name_on_redis
        for database in ("agenthub", "agenthub_copy")
    )
    async with hearing(redis_url, original, original, copy, copy) as (speaker, listener, stranger, its_own):
        speaker.bell.session(1)
        assert await listener.words.get() == ("session", 1)
        # Had the first word reached the copy, it would come before this one.
        its_own.bell.session(2)
        assert await stranger.words.get() == ("session", 2)
        assert speaker.words.empty()
