"""What processes know of each other's requests, and what becomes of that when one of them or Redis dies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from agenthub.core.errors import IdempotencyAnswerNotKept
from proxy.idempotency import Turn
from proxy.recording import Recorded
from proxy.redis_idempotency import MOST_ANSWER_BYTES, RedisIdempotency
from tests.proxy.private_redis import PATIENT_SECONDS, PrivateRedis

NAME, BODY = b"n" * 32, b"b" * 32
Process = Callable[..., RedisIdempotency]


def answer(size: int = 2) -> Recorded:
    return Recorded(200, ((b"content-type", b"application/json"),), b"x" * size, False)


@pytest.fixture
def prefix() -> str:
    return f"test:{uuid4().hex}:"


@pytest.fixture
def name(prefix: str) -> str:
    """The key in Redis of what the tests do."""
    return f"{prefix}ah1:idem:{NAME.hex()}"


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def process(redis_url: str, prefix: str) -> AsyncIterator[Process]:
    """Makes what each process has."""
    made: list[RedisIdempotency] = []

    def make(**special: float) -> RedisIdempotency:
        values: dict[str, Any] = {"poll_seconds": 0.002, "call_seconds": PATIENT_SECONDS, **special}
        made.append(RedisIdempotency(redis_url, prefix=prefix, **values))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - Redis rings no bell
        await asyncio.sleep(0.001)


async def test_a_claim_has_a_lease_that_is_renewed(process: Process, raw: "redis.Redis", name: str) -> None:
    one = process(lease_seconds=0.3)
    turn = await one.begin(NAME, BODY)
    lefts: list[int] = []

    def renewed() -> bool:
        lefts.append(int(str(raw.pttl(name))))
        return len(lefts) > 1 and lefts[-1] > lefts[-2]

    await until(renewed)
    assert 0 < max(lefts) <= 300
    turn.done(answer())
    await one.written()
    assert 590_000 < int(str(raw.pttl(name))) <= 600_000


async def test_when_a_process_dies_another_takes_over_at_the_end_of_its_lease(
    process: Process, raw: "redis.Redis", name: str
) -> None:
    raw.set(name, b"\x01r" + BODY + b"t" * 16, px=50)
    turn = await process().begin(NAME, BODY)
    assert turn.mine
    turn.done(answer())


async def test_who_has_lost_its_lease_spoils_nothing(process: Process, raw: "redis.Redis", name: str) -> None:
    one, other = process(), process()
    late = await one.begin(NAME, BODY)
    raw.delete(name)
    turn = await other.begin(NAME, BODY)
    assert turn.mine
    taken = raw.get(name)
    late.failed()
    await one.written()
    assert raw.get(name) == taken
    turn.done(answer())
    await other.written()
    assert (await process().begin(NAME, BODY)).recorded == answer()


async def test_a_claim_that_redis_has_forgotten_is_made_again(process: Process, raw: "redis.Redis", name: str) -> None:
    turn = await process(lease_seconds=0.03).begin(NAME, BODY)
    before = raw.get(name)
    raw.delete(name)
    await until(lambda: raw.get(name) == before)
    turn.failed()


async def test_nothing_is_left_of_a_request_that_failed(process: Process, raw: "redis.Redis", name: str) -> None:
    one = process()
    turn = await one.begin(NAME, BODY)
    assert raw.exists(name)
    turn.failed()
    await one.written()
    assert not raw.exists(name)


async def test_who_leaves_while_it_waits_leaves_the_claim_alone(
    process: Process, raw: "redis.Redis", name: str
) -> None:
    one, other = process(), process()
    turn = await one.begin(NAME, BODY)
    claimed = raw.get(name)
    task = asyncio.create_task(other.begin(NAME, BODY))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await other.aclose()
    assert raw.get(name) == claimed
    turn.done(answer())


async def test_what_redis_does_not_keep_its_own_process_does(process: Process) -> None:
    one, other = process(), process()
    large = answer(MOST_ANSWER_BYTES)
    (await one.begin(NAME, BODY)).done(large)
    await one.written()
    with pytest.raises(IdempotencyAnswerNotKept):
        await other.begin(NAME, BODY)
    assert (await one.begin(NAME, BODY)).recorded == large


async def test_what_another_process_has_answered_is_kept_no_longer_for_that(
    process: Process, raw: "redis.Redis", name: str
) -> None:
    one, other = process(), process()
    (await one.begin(NAME, BODY)).done(answer())
    (await other.begin(b"its own", BODY)).done(answer())
    await one.written()
    raw.pexpire(name, 60)
    assert (await other.begin(NAME, BODY)).recorded == answer()
    await until(lambda: not raw.exists(name))
    turn = await other.begin(NAME, BODY)
    assert turn.mine
    turn.failed()


@pytest.mark.parametrize("value", [b"", b"\x02r" + BODY, b"\x01x" + BODY])
async def test_what_another_version_has_written_stops_nobody(
    process: Process, raw: "redis.Redis", name: str, value: bytes
) -> None:
    raw.set(name, value, ex=60)
    one = process()
    turn = await one.begin(NAME, BODY)
    assert turn.mine
    turn.done(answer())
    await one.written()
    assert raw.get(name) == value
    assert (await one.begin(NAME, BODY)).recorded == answer()


async def test_an_answer_that_is_damaged_is_not_sent_again(process: Process, raw: "redis.Redis", name: str) -> None:
    raw.set(name, b"\x01d" + BODY + b"nonsense", ex=60)
    with pytest.raises(IdempotencyAnswerNotKept):
        await process().begin(NAME, BODY)


async def test_a_process_that_stops_leaves_its_unfinished_claims_to_the_lease(
    process: Process, raw: "redis.Redis", name: str
) -> None:
    one = process()
    assert (await one.begin(NAME, BODY)).mine
    await one.aclose()
    assert raw.exists(name)


async def test_with_redis_away_a_process_knows_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with PrivateRedis(tmp_path) as server:
        store = RedisIdempotency(server.url, call_seconds=PATIENT_SECONDS)
        early = await store.begin(b"early", BODY)
        server.kill()
        waiter = asyncio.create_task(store.begin(b"early", BODY))
        turns: list[Turn] = [await store.begin(b"%d" % number, BODY) for number in range(3)]
        assert all(turn.mine for turn in turns)
        for turn in (early, *turns):
            turn.done(answer())
        assert (await waiter).recorded == answer()
        assert (await store.begin(b"0", BODY)).recorded == answer()
        await store.aclose()
    assert [record.message for record in caplog.records if record.message.startswith("redis_")] == ["redis_away"]


async def test_who_waits_for_another_process_goes_on_alone_when_redis_dies(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        one, other = (RedisIdempotency(server.url, poll_seconds=0.002, call_seconds=PATIENT_SECONDS) for _ in range(2))
        turn = await one.begin(NAME, BODY)
        waiter = asyncio.create_task(other.begin(NAME, BODY))
        await asyncio.sleep(0)
        server.kill()
        taken = await waiter
        assert taken.mine
        for each in (turn, taken):
            each.failed()
        await one.aclose()
        await other.aclose()


async def test_a_request_that_ran_through_an_outage_is_known_afterwards(tmp_path: Path) -> None:
    now = [100.0]
    with PrivateRedis(tmp_path) as server:
        one, other = (RedisIdempotency(server.url, call_seconds=PATIENT_SECONDS, now=lambda: now[0]) for _ in range(2))
        turn = await one.begin(NAME, BODY)
        server.kill()
        assert (await one.begin(b"meanwhile", BODY)).mine
        server.start()
        now[0] += 1
        turn.done(answer())
        await one.written()
        assert (await other.begin(NAME, BODY)).recorded == answer()
        await one.aclose()
        await other.aclose()


async def test_a_redis_that_hangs_holds_nobody(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as server:
        store = RedisIdempotency(server.url)
        (await store.begin(b"first", BODY)).done(answer())
        await store.written()
        server.hold()
        turn = await store.begin(NAME, BODY)
        assert turn.mine
        turn.done(answer())
        await store.aclose()
