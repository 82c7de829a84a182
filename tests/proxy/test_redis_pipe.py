"""One connection, many calls: in order, in time, and none forgotten."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis

from proxy.redis_link import RedisAway
from proxy.redis_pipe import RedisPipe
from proxy.state.scripts import Script
from tests.proxy.private_redis import PATIENT_SECONDS, PrivateRedis

APPEND = Script(
    b"redis.call('APPEND', KEYS[1], ARGV[1]) redis.call('EXPIRE', KEYS[1], 60)"
    b"return cmsgpack.pack(redis.call('GET', KEYS[1]))",
    b"",
)
BROKEN = Script(b"return redis.call('NONSENSE')", b"")


def named(script: Script) -> Script:
    with redis.Redis() as offline:
        return Script(script.source, offline.register_script(script.source).sha.encode())


class Calls:
    """A pipe, and what its calls have got."""

    def __init__(self, url: str, *, call_seconds: float = PATIENT_SECONDS) -> None:
        self.lost: list[str] = []
        self.answers: list[Any] = []
        self._more = asyncio.Event()
        self.script, self.broken = named(APPEND), named(BROKEN)
        self.pipe = RedisPipe(url, scripts=(self.script,), on_lost=self.lost.append, call_seconds=call_seconds)
        self.key = f"test:{uuid4().hex}".encode()

    def call(self, word: bytes, *, at_once: bool = True) -> None:
        self.pipe.call(self.script, [self.key], word, self.hear, at_once=at_once)

    def hear(self, answer: Any) -> None:
        self.answers.append(answer)
        self._more.set()

    async def answered(self, count: int) -> None:
        async with asyncio.timeout(PATIENT_SECONDS):
            while len(self.answers) < count:
                await self._more.wait()
                self._more.clear()


async def test_calls_are_carried_out_in_order_whether_they_can_wait_or_not(redis_url: str) -> None:
    calls = Calls(redis_url)
    await calls.pipe.open()
    for word, at_once in ((b"a", False), (b"b", True), (b"c", False)):
        calls.call(word, at_once=at_once)
    await calls.answered(3)
    assert calls.answers == ["a", "ab", "abc"]
    await calls.pipe.aclose()


async def test_what_is_under_way_is_answered_before_the_end(redis_url: str) -> None:
    calls = Calls(redis_url)
    await calls.pipe.open()
    calls.call(b"a", at_once=False)
    await calls.pipe.aclose()
    assert calls.answers == ["a"]
    calls.call(b"b")
    assert calls.answers == ["a", None]
    assert calls.lost == []


async def test_a_script_that_redis_has_forgotten_is_sent_again(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        calls = Calls(server.url)
        await calls.pipe.open()
        with redis.Redis.from_url(server.url) as client:
            client.script_flush()
        calls.call(b"a")
        calls.call(b"b")
        await calls.answered(2)
        assert sorted(calls.answers[1]) == ["a", "b"]
        await calls.pipe.aclose()


@pytest.mark.parametrize("how", ["kill", "hold"])
async def test_a_redis_that_goes_away_is_lost_once_and_every_call_hears_of_it(tmp_path: Path, how: str) -> None:
    with PrivateRedis(tmp_path) as server:
        calls = Calls(server.url, call_seconds=0.1)
        await calls.pipe.open()
        getattr(server, how)()
        for _ in range(3):
            calls.call(b"a")
        await calls.answered(3)
        assert calls.answers == [None] * 3
        assert len(calls.lost) == 1
        assert not calls.pipe.is_open
        await calls.pipe.aclose()


async def test_an_answer_that_is_an_error_is_an_outage(redis_url: str) -> None:
    calls = Calls(redis_url)
    await calls.pipe.open()
    calls.pipe.call(calls.broken, [calls.key], msgspec.msgpack.encode(1), calls.hear)
    await calls.answered(1)
    assert calls.answers == [None]
    assert len(calls.lost) == 1
    await calls.pipe.aclose()


async def test_nobody_at_the_address_is_said() -> None:
    with pytest.raises(RedisAway):
        await Calls("redis://127.0.0.1:1/0").pipe.open()
