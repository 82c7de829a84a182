"""A request with an Idempotency-Key is carried out once, in one process and in several."""

import asyncio
import random
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from agenthub.core.errors import BadRequest, IdempotencyAnswerNotKept, IdempotencyKeyReused, QueueFull
from proxy.idempotency import Idempotency, MemoryIdempotency, Turn
from proxy.recording import Recorded, Recording
from proxy.redis_idempotency import RedisIdempotency
from tests.proxy.private_redis import PATIENT_SECONDS

BODY, OTHER_BODY = b"b" * 32, b"o" * 32


def answer(status: int = 200, body: bytes = b"{}") -> Recorded:
    return Recorded(status, ((b"content-type", b"application/json"),), body, False)


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


Pair = tuple[Idempotency, Idempotency]


@pytest.fixture(params=["one process", "two processes"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """What two callers speak to: the same process, or two that share a Redis."""
    if request.param == "one process":
        door = Idempotency(MemoryIdempotency())
        yield door, door
        return
    url, prefix = request.getfixturevalue("redis_url"), f"test:{uuid4().hex}:"
    doors = [
        Idempotency(RedisIdempotency(url, prefix=prefix, poll_seconds=0.002, call_seconds=PATIENT_SECONDS))
        for _ in range(2)
    ]
    yield doors[0], doors[1]
    for door in doors:
        await door.aclose()


def waiting(door: Idempotency, key: str = "k") -> "asyncio.Task[Turn]":
    return asyncio.create_task(door.begin("key_1", key, BODY))


async def test_who_repeats_a_request_gets_the_first_answer(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    assert turn.mine
    turn.done(answer())
    before = REGISTRY.get_sample_value("agenthub_idempotent_replays_total") or 0
    repeated = await other.begin("key_1", "k", BODY)
    assert (repeated.mine, repeated.recorded) == (False, answer())
    assert (await one.begin("key_1", "k", BODY)).recorded == answer()
    assert REGISTRY.get_sample_value("agenthub_idempotent_replays_total") == before + 2


async def test_who_comes_while_it_runs_waits_for_it(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    tasks = [waiting(door) for door in (one, other) * 10]
    await settle()
    assert not any(task.done() for task in tasks)
    turn.done(answer())
    turns = await asyncio.gather(*tasks)
    assert {each.recorded for each in turns} == {answer()}


async def test_keys_and_callers_do_not_wait_for_each_other(pair: Pair) -> None:
    one, other = pair
    turns = [await one.begin("key_1", "a", BODY), await other.begin("key_1", "b", BODY)]
    turns += [await other.begin("key_2", "a", BODY)]
    assert all(turn.mine for turn in turns)
    for turn in turns:
        turn.failed()


async def test_a_key_is_for_one_request_only(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    for door in pair:
        with pytest.raises(IdempotencyKeyReused):
            await door.begin("key_1", "k", OTHER_BODY)
    turn.done(answer())
    for door in pair:
        with pytest.raises(IdempotencyKeyReused):
            await door.begin("key_1", "k", OTHER_BODY)
    assert (await other.begin("key_1", "k", BODY)).recorded == answer()


async def test_a_key_whose_request_failed_is_free_again(pair: Pair) -> None:
    one, other = pair
    (await one.begin("key_1", "k", BODY)).failed()
    turn = await other.begin("key_1", "k", OTHER_BODY)
    assert turn.mine
    turn.failed()


async def test_when_it_fails_one_of_those_who_wait_takes_over(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    tasks = [waiting(door) for door in (one, other) * 3]
    await settle()
    turn.failed()
    for _ in range(2):
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        tasks = [task for task in tasks if task not in done]
        turn = done.pop().result()
        assert turn.mine
        if len(tasks) > 4:
            turn.failed()
    turn.done(answer())
    assert {each.recorded for each in await asyncio.gather(*tasks)} == {answer()}


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
async def test_what_settles_nothing_is_not_repeated(pair: Pair, status: int) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    task = waiting(other)
    turn.done(answer(status))
    taken = await task
    assert taken.mine
    taken.failed()


async def test_the_callers_own_mistake_is_repeated(pair: Pair) -> None:
    one, other = pair
    (await one.begin("key_1", "k", BODY)).done(answer(400))
    assert (await other.begin("key_1", "k", BODY)).recorded == answer(400)


async def test_the_first_word_on_a_turn_counts(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    turn.done(answer())
    turn.failed()
    turn.done(answer(body=b"second"))
    repeated = await other.begin("key_1", "k", BODY)
    repeated.failed()
    assert (await other.begin("key_1", "k", BODY)).recorded == answer()


async def test_who_hangs_up_no_longer_waits(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    leaving, staying = waiting(other), waiting(other)
    await settle()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    turn.failed()
    taken = await staying
    assert taken.mine
    taken.failed()


async def test_a_turn_given_to_one_who_is_just_leaving_goes_to_the_next() -> None:
    door = Idempotency(MemoryIdempotency())
    turn = await door.begin("key_1", "k", BODY)
    leaving, staying = waiting(door), waiting(door)
    await settle()
    turn.failed()
    leaving.cancel()
    assert (await staying).mine
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_an_answer_given_to_one_who_is_just_leaving_stays_for_the_others() -> None:
    door = Idempotency(MemoryIdempotency())
    turn = await door.begin("key_1", "k", BODY)
    leaving = waiting(door)
    await settle()
    turn.done(answer())
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await door.begin("key_1", "k", BODY)).recorded == answer()


@pytest.mark.parametrize("seed", range(5))
async def test_never_two_at_once_and_never_again_after_an_answer(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    running, answered, repeated = 0, 0, 0

    async def caller(door: Idempotency) -> None:
        nonlocal running, answered, repeated
        turn = await door.begin("key_1", "k", BODY)
        if not turn.mine:
            repeated += 1
            return
        running += 1
        assert (running, answered) == (1, 0)
        try:
            await asyncio.sleep(0)
            if chance.random() < 0.1:
                answered += 1
                running -= 1
                turn.done(answer())
        finally:
            if not answered:
                running -= 1
                turn.failed()

    tasks = [asyncio.create_task(caller(door)) for door in pair * 30]
    for task in chance.sample(tasks, 20):
        await asyncio.sleep(0)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [result for result in results if isinstance(result, Exception)]
    assert running == 0
    assert answered <= 1
    assert repeated == 0 or answered == 1


def recording(status: int, *, finished: bool = True, most_bytes: int = 1_000) -> Recording:
    made = Recording(most_bytes)
    made.begin(status, [(b"content-type", b"application/json")])
    if finished:
        made.end(b"{}")
    return made


async def test_a_recording_says_how_it_went(pair: Pair) -> None:
    one, other = pair
    for failed in (Recording(10), recording(200, finished=False), recording(503), recording(503, most_bytes=1)):
        turn = await one.begin("key_1", "k", BODY)
        assert turn.mine
        turn.settle(failed)
    turn = await one.begin("key_1", "k", BODY)
    turn.settle(recording(200))
    assert (await other.begin("key_1", "k", BODY)).recorded == answer()


async def test_what_was_too_large_to_record_is_not_sent_again(pair: Pair) -> None:
    one, other = pair
    turn = await one.begin("key_1", "k", BODY)
    task = waiting(other)
    await settle()
    turn.settle(recording(200, most_bytes=1))
    for late in (task, waiting(one), waiting(other)):
        with pytest.raises(IdempotencyAnswerNotKept):
            await late


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
async def test_a_key_that_can_not_be_one_is_refused(key: str) -> None:
    with pytest.raises(BadRequest):
        await Idempotency(MemoryIdempotency()).begin("key_1", key, BODY)


# The bounds of one process


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def carry_out(store: MemoryIdempotency, name: bytes, recorded: Recorded | None = None) -> None:
    turn = await store.begin(name, BODY)
    assert turn.mine
    turn.done(recorded or answer())


async def test_a_key_is_remembered_for_ten_minutes() -> None:
    clock = Clock()
    store = MemoryIdempotency(now=clock)
    await carry_out(store, b"a")
    clock.now += 599.9
    assert not (await store.begin(b"a", BODY)).mine
    clock.now += 0.1
    await carry_out(store, b"a")
    assert len(store) == 1


async def test_a_request_that_runs_is_not_forgotten() -> None:
    clock = Clock()
    store = MemoryIdempotency(now=clock)
    turn = await store.begin(b"a", BODY)
    clock.now += 10_000
    task = asyncio.create_task(store.begin(b"a", BODY))
    await settle()
    turn.done(answer())
    assert (await task).recorded == answer()


async def test_the_keys_answered_first_make_room() -> None:
    store = MemoryIdempotency(most_keys=3)
    running = await store.begin(b"running", BODY)
    for name in (b"a", b"b", b"c"):
        await carry_out(store, name)
    assert len(store) == 3
    assert not (await store.begin(b"b", BODY)).mine
    assert (await store.begin(b"a", BODY)).mine
    running.done(answer())
    assert not (await store.begin(b"running", BODY)).mine


async def test_more_at_once_than_can_be_remembered_are_refused() -> None:
    store = MemoryIdempotency(most_keys=2)
    turns = [await store.begin(name, BODY) for name in (b"a", b"b")]
    with pytest.raises(QueueFull):
        await store.begin(b"c", BODY)
    turns[0].failed()
    assert (await store.begin(b"c", BODY)).mine


async def test_answers_that_are_pushed_out_are_not_sent_again() -> None:
    size = answer().size_bytes
    store = MemoryIdempotency(most_bytes=2 * size)
    for name in (b"a", b"b", b"c"):
        await carry_out(store, name)
    assert store.size_bytes == 2 * size
    assert [(await store.begin(name, BODY)).recorded for name in (b"b", b"c")] == [answer()] * 2
    with pytest.raises(IdempotencyAnswerNotKept):
        await store.begin(b"a", BODY)


async def test_an_answer_too_large_to_be_kept_still_reaches_those_who_wait() -> None:
    store = MemoryIdempotency(most_answer_bytes=10)
    turn = await store.begin(b"a", BODY)
    task = asyncio.create_task(store.begin(b"a", BODY))
    await settle()
    turn.done(answer(body=b"x" * 20))
    assert (await task).recorded == answer(body=b"x" * 20)
    with pytest.raises(IdempotencyAnswerNotKept):
        await store.begin(b"a", BODY)
    assert store.size_bytes == 0


async def test_nothing_is_left_of_what_is_forgotten() -> None:
    clock = Clock()
    store = MemoryIdempotency(now=clock, most_keys=5)
    for number in range(50):
        await carry_out(store, b"%d" % number)
    clock.now += 600
    (await store.begin(b"a", BODY)).failed()
    assert (len(store), store.size_bytes) == (0, 0)
