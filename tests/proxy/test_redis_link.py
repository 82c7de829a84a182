"""Calls to Redis are short, and an outage is met by few of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from proxy.redis_link import CALL_SECONDS, MOST_TASKS, RedisAway, RedisLink
from tests.proxy.private_redis import PATIENT_SECONDS, PrivateRedis


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    made = RedisLink(redis_url, purpose="test", call_seconds=PATIENT_SECONDS)
    yield made
    await made.aclose()


async def ping(redis: "Redis") -> None:
    await redis.ping()


async def test_nobody_waits_longer_than_a_call_may_take(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        link = RedisLink(server.url, purpose="test")
        server.hold()
        with pytest.raises(RedisAway, match=f"no answer within {CALL_SECONDS} s"):
            await link.call(ping)
        with pytest.raises(RedisAway, match="a moment ago"):
            await link.call(ping)
        await link.aclose()


async def test_an_address_at_which_nobody_listens_is_away() -> None:
    link = RedisLink("redis://127.0.0.1:1/0", purpose="test", call_seconds=PATIENT_SECONDS)
    with pytest.raises(RedisAway):
        await link.call(ping)
    await link.aclose()


async def test_what_redis_refuses_is_away(link: RedisLink) -> None:
    async def nonsense(redis: "Redis") -> None:
        await redis.execute_command("NONSENSE")  # type: ignore[no-untyped-call]

    with pytest.raises(RedisAway, match="unknown command"):
        await link.call(nonsense)


async def test_a_fault_of_ours_does_not_count_and_does_not_end_the_trials(redis_url: str) -> None:
    now = [100.0]
    link = RedisLink(redis_url, purpose="test", call_seconds=PATIENT_SECONDS, now=lambda: now[0])

    async def away(_: "Redis") -> None:
        raise OSError("unplugged")

    async def fault(_: "Redis") -> None:
        raise ZeroDivisionError

    with pytest.raises(RedisAway, match="unplugged"):
        await link.call(away)
    now[0] += 1
    with pytest.raises(ZeroDivisionError):
        await link.call(fault)
    await link.call(ping)
    await link.aclose()


async def test_a_call_that_nobody_waits_for_leaves_the_trial_to_the_next(redis_url: str) -> None:
    now = [100.0]
    link = RedisLink(redis_url, purpose="test", call_seconds=PATIENT_SECONDS, now=lambda: now[0])

    async def away(_: "Redis") -> None:
        raise OSError

    async def forever(_: "Redis") -> None:
        await asyncio.Event().wait()

    with pytest.raises(RedisAway):
        await link.call(away)
    now[0] += 1
    trial = asyncio.create_task(link.call(forever))
    await asyncio.sleep(0)
    with pytest.raises(RedisAway, match="a moment ago"):
        await link.call(ping)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    await link.call(ping)
    await link.aclose()


async def test_work_in_the_background_is_bounded(link: RedisLink) -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def work(number: int) -> None:
        await go.wait()
        done.append(number)
        raise RedisAway

    taken = [link.spawn(work(number)) for number in range(MOST_TASKS + 2)]
    assert taken == [True] * MOST_TASKS + [False] * 2
    go.set()
    await link.settled()
    assert done == list(range(MOST_TASKS))
    assert link.spawn(work(0))
