"""The response cache, in a process and in Redis."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from proxy.cache import ENTRY_BYTES, LARGEST_PART, MemoryCache
from proxy.recording import Recorded, pack
from proxy.redis_cache import RedisCache
from tests.proxy.private_redis import PATIENT_SECONDS, PrivateRedis


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(size: int = 10, fill: bytes = b"x") -> Recorded:
    return Recorded(200, ((b"content-type", b"application/json"),), fill * size, False)


ONE = answer().size_bytes + 1 + ENTRY_BYTES
"""What `answer()` takes up under a key of one byte."""


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("agenthub_cache_total", {"result": result}) or 0


async def test_it_gives_back_what_was_put_and_counts() -> None:
    cache = MemoryCache(100_000)
    before = [counted(result) for result in ("miss", "stored", "hit")]
    assert await cache.get(b"a") is None
    cache.put(b"a", answer(), 10)
    assert await cache.get(b"a") == answer()
    assert [counted(result) for result in ("miss", "stored", "hit")] == [number + 1 for number in before]


async def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(LARGEST_PART * ONE)
    names = [b"%d" % number for number in range(LARGEST_PART)]
    for name in names:
        cache.put(name, answer(), 10)
    assert len(cache) == LARGEST_PART
    assert await cache.get(b"0") is not None
    cache.put(b"n", answer(), 10)
    assert await cache.get(b"1") is None
    assert [await cache.get(name) for name in (b"0", b"2", b"n")] == [answer()] * 3


async def test_an_answer_is_gone_at_its_time() -> None:
    clock = Clock()
    cache = MemoryCache(100_000, now=clock)
    cache.put(b"a", answer(), 10)
    clock.now += 9.9
    assert await cache.get(b"a") is not None
    clock.now += 0.1
    assert await cache.get(b"a") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


async def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    clock = Clock()
    cache = MemoryCache(100_000, now=clock)
    cache.put(b"a", answer(), 10)
    clock.now += 9
    cache.put(b"a", answer(20), 10)
    clock.now += 9
    assert await cache.get(b"a") == answer(20)
    assert (len(cache), cache.size_bytes) == (1, ONE + 10)


@pytest.mark.parametrize("ttl_seconds", [10, 0, -1])
async def test_what_is_not_kept_leaves_no_older_answer_behind(ttl_seconds: float) -> None:
    cache = MemoryCache(LARGEST_PART * ONE)
    cache.put(b"a", answer(), 10)
    cache.put(b"a", answer(11) if ttl_seconds > 0 else answer(), ttl_seconds)
    assert await cache.get(b"a") is None


async def test_a_smaller_bound_is_kept_to_at_once() -> None:
    cache = MemoryCache(1_000_000)
    for number in range(20):
        cache.put(b"%c" % number, answer(), 10)
    cache.put(b"large", answer(10_000), 10)
    cache.resize(LARGEST_PART * ONE)
    assert cache.size_bytes <= LARGEST_PART * ONE
    assert await cache.get(b"large") is None
    assert await cache.get(b"%c" % 19) is not None
    await cache.aclose()
    assert (len(cache), cache.size_bytes) == (0, 0)


STEP = st.tuples(st.sampled_from(["put", "get", "wait", "resize"]), st.integers(0, 12), st.integers(0, 3_000))


@given(st.integers(0, 40_000), st.lists(STEP, max_size=60))
async def test_it_is_never_above_its_bound_and_never_wrong(bound: int, steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    cache = MemoryCache(bound, now=clock)
    newest: dict[bytes, tuple[Recorded, float]] = {}
    for what, number, size in steps:
        key = b"%d" % number
        if what == "put":
            newest[key] = answer(size, b"%c" % (97 + number)), clock.now + size
            cache.put(key, newest[key][0], size)
        elif what == "get":
            found = await cache.get(key)
            assert found is None or (found == newest[key][0] and clock.now < newest[key][1])
        elif what == "wait":
            clock.now += size
        else:
            bound = size * 10
            cache.resize(bound)
        assert cache.size_bytes <= bound
        assert len(cache) * ENTRY_BYTES <= cache.size_bytes


@pytest.fixture
def prefix() -> str:
    return f"test:{uuid4().hex}:"


@pytest.fixture
async def shared(redis_url: str, prefix: str) -> AsyncIterator[RedisCache]:
    cache = RedisCache(redis_url, prefix=prefix, most_bytes_per_entry=1_000, call_seconds=PATIENT_SECONDS)
    yield cache
    await cache.aclose()


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def test_redis_gives_every_process_what_one_has_put(shared: RedisCache, redis_url: str, prefix: str) -> None:
    other = RedisCache(redis_url, prefix=prefix, most_bytes_per_entry=1_000, call_seconds=PATIENT_SECONDS)
    assert await other.get(b"\x00\xff") is None
    shared.put(b"\x00\xff", answer(), 10)
    await shared.stored()
    assert await other.get(b"\x00\xff") == answer()
    await other.aclose()


async def test_redis_ends_the_entries(shared: RedisCache, raw: "redis.Redis", prefix: str) -> None:
    shared.put(b"a", answer(), 10)
    await shared.stored()
    assert 0 < int(str(raw.pttl(f"{prefix}ah1:cache:61"))) <= 10_000
    shared.put(b"a", answer(), 0)
    await shared.stored()
    assert await shared.get(b"a") is None


async def test_an_answer_too_large_for_redis_leaves_no_older_one_behind(shared: RedisCache) -> None:
    shared.put(b"a", answer(), 10)
    await shared.stored()
    shared.put(b"a", answer(1_000), 10)
    await shared.stored()
    assert await shared.get(b"a") is None


@pytest.mark.parametrize(
    "value", [b"", b"\x01", b"\x02" + pack(answer())[1:], pack(answer())[:-1], b"\x01\x93\x01\x02"]
)
async def test_what_is_damaged_or_of_another_version_is_a_miss(
    shared: RedisCache, raw: "redis.Redis", prefix: str, value: bytes
) -> None:
    raw.set(f"{prefix}ah1:cache:61", value, ex=60)
    assert await shared.get(b"a") is None
    shared.put(b"a", answer(), 10)
    await shared.stored()
    assert await shared.get(b"a") == answer()


async def test_a_closed_cache_has_stored_what_was_put(redis_url: str, prefix: str, shared: RedisCache) -> None:
    other = RedisCache(redis_url, prefix=prefix, most_bytes_per_entry=1_000, call_seconds=PATIENT_SECONDS)
    other.put(b"a", answer(), 10)
    await other.aclose()
    assert await shared.get(b"a") == answer()


async def test_with_redis_killed_all_is_a_miss_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with PrivateRedis(tmp_path) as server:
        cache = RedisCache(server.url, most_bytes_per_entry=1_000, call_seconds=PATIENT_SECONDS, now=clock)
        cache.put(b"a", answer(), 10)
        await cache.stored()
        assert await cache.get(b"a") == answer()
        server.kill()
        for _ in range(3):
            assert await cache.get(b"a") is None
            cache.put(b"a", answer(), 10)
            await cache.stored()
            clock.now += 1
        server.start()
        clock.now += 1
        assert await cache.get(b"a") is None  # it came back empty
        cache.put(b"a", answer(), 10)
        await cache.stored()
        assert await cache.get(b"a") == answer()
        await cache.aclose()
    assert [record.message for record in caplog.records if record.message == "redis_away"] == ["redis_away"]


async def test_redis_is_left_alone_for_a_second_and_then_tried_once(tmp_path: Path) -> None:
    clock = Clock()
    with PrivateRedis(tmp_path) as server:
        cache = RedisCache(server.url, most_bytes_per_entry=1_000, call_seconds=PATIENT_SECONDS, now=clock)
        server.kill()
        assert await cache.get(b"a") is None
        server.start()
        cache.put(b"a", answer(), 10)
        await cache.stored()
        clock.now += 1
        assert await cache.get(b"a") is None  # the put was not even tried
        cache.put(b"a", answer(), 10)
        await cache.stored()
        assert await cache.get(b"a") == answer()
        await cache.aclose()


async def test_a_redis_that_hangs_is_a_miss(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        cache = RedisCache(server.url, most_bytes_per_entry=1_000)
        cache.put(b"a", answer(), 10)
        await cache.stored()
        server.hold()
        assert await cache.get(b"a") is None
        await cache.aclose()
