"""Backends whose state processes share, next to `MemoryState`, which says what is right."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from agenthub.core.params import RuntimeSettings
from providers.rules.table import BackendEntry, BackendStatus, Candidate, ErrorKind
from proxy.rules.routing import PassedOver, Reason
from proxy.state import scripts
from proxy.state.memory import MemoryState
from proxy.state.protocol import CooldownBegun, Lease, State, Told
from proxy.state.redis_backends import CANDIDATES_PER_CALL, RedisState
from proxy.state.shared import Shared, channel, no_matter
from tests.proxy.private_redis import PATIENT_SECONDS
from tests.proxy.state.test_memory import BACKEND, EPOCH, table

T = TypeVar("T")


class Clock:
    """The time of all who take part."""

    def __init__(self) -> None:
        self.now = 1000.0


class Always(Random):
    """Chance that always says the same, so that jitters agree."""

    def random(self) -> float:
        return 0.5


class Process:
    """A state, as one process has it."""

    def __init__(self, state: State, clock: Clock, backends: Sequence[BackendEntry]) -> None:
        self.state, self.clock = state, clock
        self.apply(*backends)

    def apply(self, *backends: BackendEntry) -> None:
        self.candidates = [Candidate(backend, backend.mappings[0]) for backend in backends]
        now = self.clock.now
        self.state.apply(table(*backends), RuntimeSettings(), now=now, epoch=EPOCH + now)

    async def take(self, *, tokens: int = 0, banned: frozenset[str] = frozenset()) -> Lease | None:
        return (await self.try_take(tokens=tokens, banned=banned))[0]

    async def must_take(self) -> Lease:
        lease = await self.take()
        assert lease is not None
        return lease

    async def try_take(
        self, *, tokens: int = 0, banned: frozenset[str] = frozenset()
    ) -> tuple[Lease | None, Sequence[PassedOver]]:
        return await self.state.take_first(self.candidates, now=self.clock.now, banned=banned, tokens=lambda: tokens)

    async def reason(self) -> Reason:
        lease, passed = await self.try_take()
        assert lease is None
        return passed[0].reason

    async def limited(self, lease: Lease, given: float | None = None) -> CooldownBegun | None:
        begun = await told(self.state.rate_limited(lease, now=self.clock.now, given_seconds=given))
        self.state.release(lease, now=self.clock.now, used_tokens=0)
        return begun

    async def succeeded(self, lease: Lease) -> bool:
        news = self.state.succeeded(lease, now=self.clock.now, latency_seconds=0.1)
        self.state.release(lease, now=self.clock.now, used_tokens=0)
        return await told(news)


async def told(said: Told[T]) -> T:
    return await said if isinstance(said, asyncio.Future) else said


MakeProcess = Callable[..., Awaitable[Process]]


class Hub:
    """Processes that share a Redis."""

    def __init__(self, url: str) -> None:
        self.url, self.prefix = url, uuid4().hex
        self.clock = Clock()
        self._shared: list[Shared] = []
        self.lost: list[str] = []  # why connections were lost, which none of these tests means to

    async def process(self, *backends: BackendEntry, lease_seconds: float = 10.0) -> Process:
        shared = Shared(
            self.url,
            prefix=self.prefix,
            on_lost=self.lost.append,
            call_seconds=PATIENT_SECONDS,
            lease_seconds=lease_seconds,
            redis_now=lambda: self.clock.now,
            monotonic=lambda: self.clock.now,
        )
        self._shared.append(shared)
        state = RedisState(shared, processes=2, chance=Always())
        process = Process(state, self.clock, backends)
        await shared.pipe.open()
        shared.begin(state.restore)
        return process

    async def aclose(self) -> None:
        for shared in self._shared:
            await shared.pipe.aclose()
        assert self.lost == []

    async def settled(self, process: int) -> None:
        """Come back when what a process has said so far has been carried out."""
        await self._shared[process].ask(scripts.RENEW, [], {"leases": []}, unheard=no_matter)

    def renew(self, process: int) -> None:
        self._shared[process].renew()


@pytest.fixture
async def hub(redis_url: str) -> AsyncIterator[Hub]:
    made = Hub(redis_url)
    yield made
    await made.aclose()


ONE_A_SECOND = replace(BACKEND, rpm_limit=60, burst=3)


async def test_processes_take_of_one_bucket(hub: Hub) -> None:
    first, second = await hub.process(ONE_A_SECOND), await hub.process(ONE_A_SECOND)
    taken = [await process.take() for process in (first, second, first, second)]
    assert [lease is not None for lease in taken] == [True, True, True, False]
    _, passed = await second.try_take()
    assert passed[0].reason is Reason.NO_REQUESTS
    assert passed[0].ready_at == pytest.approx(hub.clock.now + 1)
    hub.clock.now += 1
    assert await first.take() is not None
    assert await second.take() is None


async def test_many_at_once_take_no_more_than_there_is(hub: Hub) -> None:
    processes = [await hub.process(replace(BACKEND, rpm_limit=60, burst=20)) for _ in range(3)]
    taken = await asyncio.gather(*(process.take() for process in processes for _ in range(20)))
    assert sum(lease is not None for lease in taken) == 20


async def test_a_429_cools_in_every_process_and_begins_once(hub: Hub) -> None:
    first, second = await hub.process(BACKEND), await hub.process(BACKEND)
    leases = [(process, await process.must_take()) for process in (first, second) for _ in range(5)]
    hub.clock.now += 1
    begun = [await process.limited(lease) for process, lease in leases]
    assert [each is not None for each in begun] == [True] + [False] * 9
    assert _close(begun[0]) == CooldownBegun("a", 31.5, 1, "rate_limited")
    assert await second.reason() is Reason.COOLING
    hub.clock.now += 31.6
    trial = await second.must_take()
    assert trial.trial
    assert await first.reason() is Reason.HALF_OPEN
    assert await second.succeeded(trial) is True
    assert (await first.must_take()).trial is False


async def test_the_same_lease_is_not_held_up_by_a_process_that_died(hub: Hub) -> None:
    single = replace(BACKEND, max_concurrency=1)
    alive, dead = await hub.process(single), await hub.process(single)
    await dead.must_take()
    hub.clock.now += 9
    assert await alive.reason() is Reason.BUSY
    hub.clock.now += 1.1
    assert await alive.take() is not None


async def test_a_lease_that_is_renewed_lives_on(hub: Hub) -> None:
    single = replace(BACKEND, max_concurrency=1)
    first, second = await hub.process(single), await hub.process(single)
    lease = await second.must_take()
    for _ in range(4):
        hub.clock.now += 5
        hub.renew(1)
    assert await second.reason() is Reason.BUSY
    assert await first.reason() is Reason.BUSY
    second.state.release(lease, now=hub.clock.now, used_tokens=0)
    assert await second.take() is not None


async def test_the_trial_of_a_process_that_died_is_given_to_another(hub: Hub) -> None:
    first, second = await hub.process(BACKEND), await hub.process(BACKEND)
    await first.limited(await first.must_take())
    hub.clock.now += 40
    assert (await first.must_take()).trial
    assert await second.reason() is Reason.HALF_OPEN
    hub.clock.now += 10.1
    assert (await second.must_take()).trial


async def test_a_backend_in_error_is_so_in_every_process_and_is_told_once(hub: Hub) -> None:
    first, second = await hub.process(BACKEND), await hub.process(BACKEND)
    leases = [(each, await each.must_take()) for each in (first, second)]
    news = []
    for process, lease in leases:
        news.append(await told(process.state.errored(lease, now=hub.clock.now, kind=ErrorKind.QUOTA)))
        process.state.release(lease, now=hub.clock.now, used_tokens=0)
    assert news == [True, False]
    assert await second.reason() is Reason.ERROR
    hub.clock.now += 15 * 60 + 1
    trial = await second.must_take()
    assert await first.reason() is Reason.ERROR
    assert await second.succeeded(trial) is True


async def test_what_an_operator_clears_is_over_in_all(hub: Hub) -> None:
    first, second = await hub.process(BACKEND), await hub.process(BACKEND)
    await first.limited(await first.must_take(), 500)
    cleared = replace(BACKEND, reset_count=1)
    first.apply(cleared)
    assert await first.take() is not None
    second.apply(cleared)
    assert await second.take() is not None


def away(process: Process) -> None:
    """Redis is away from one process."""
    assert isinstance(process.state, RedisState)
    process.state._shared.is_shared = False


def back(process: Process) -> None:
    assert isinstance(process.state, RedisState)
    process.state._shared.begin(process.state.restore)


TEN_A_SECOND = replace(BACKEND, rpm_limit=600, burst=4)


async def test_what_one_took_alone_while_others_went_on_is_owed(hub: Hub) -> None:
    first, second = await hub.process(TEN_A_SECOND), await hub.process(TEN_A_SECOND)
    for _ in range(4):
        await second.must_take()
    away(first)
    for _ in range(2):
        await first.must_take()  # its half of the burst
    back(first)
    await hub.settled(0)
    hub.clock.now += 0.19
    assert await second.take() is None  # one has come, and two are owed
    hub.clock.now += 0.12
    assert await second.take() is not None
    assert await first.take() is None


async def test_what_all_took_alone_is_covered_by_what_came_together(hub: Hub) -> None:
    both = [await hub.process(TEN_A_SECOND) for _ in range(2)]
    for _ in range(4):
        await both[0].must_take()
    for process in both:
        away(process)
    taken = 0
    for _ in range(60):
        hub.clock.now += 0.1
        taken += sum([await process.take() is not None for process in both])
    assert 56 <= taken <= 64
    for number, process in enumerate(both):
        back(process)
        await hub.settled(number)
    hub.clock.now += 0.4
    later = sum([await process.take() is not None for process in both for _ in range(4)])
    assert taken + later == 64  # what has come together in all, as if Redis had not been away


async def test_a_redis_that_came_back_empty_owes_nothing(hub: Hub) -> None:
    both = [await hub.process(TEN_A_SECOND) for _ in range(2)]
    await both[0].must_take()
    for process in both:
        away(process)
    for _ in range(600):
        hub.clock.now += 0.1
        for process in both:
            await process.take()
    async with Redis.from_url(hub.url) as redis:
        await redis.delete(*[key async for key in redis.scan_iter(f"*{hub.prefix}*")])
    for number, process in enumerate(both):
        back(process)
        await hub.settled(number)
    hub.clock.now += 0.11
    assert await both[0].take() is not None


async def test_an_error_that_ends_in_the_table_ends_for_all(hub: Hub) -> None:
    first, second = await hub.process(BACKEND), await hub.process(BACKEND)
    lease = await first.must_take()
    await told(first.state.errored(lease, now=hub.clock.now, kind=ErrorKind.CREDENTIALS))
    for process in (first, second):
        process.apply(replace(BACKEND, status=BackendStatus.ERROR, error_kind=ErrorKind.CREDENTIALS))
        assert await process.reason() is Reason.ERROR
    for process in (first, second):
        process.apply(BACKEND)
    assert await first.take() is not None
    assert await second.take() is not None


async def test_a_long_list_is_gone_through_some_at_a_time(hub: Hub) -> None:
    names = [f"b{number}" for number in range(3 * CANDIDATES_PER_CALL)]
    process = await hub.process(*(replace(ONE_A_SECOND, id=name, burst=1) for name in names))
    taken = [await process.must_take() for _ in names]
    assert [lease.candidate.backend.id for lease in taken] == names
    _, passed = await process.try_take(banned=frozenset(["b0"]))
    assert {each.candidate.backend.id for each in passed} == set(names)
    assert sum(each.reason is Reason.FAILED for each in passed) == 1


async def test_who_hangs_up_while_redis_is_asked_takes_nothing(hub: Hub) -> None:
    process = await hub.process(replace(ONE_A_SECOND, burst=1, max_concurrency=1))
    asking = asyncio.create_task(process.take())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await process.reason() in (Reason.BUSY, Reason.NO_REQUESTS)  # until it is heard that nobody has it
    assert await process.take() is not None


async def test_what_is_known_of_the_bucket_is_that_of_all(hub: Hub) -> None:
    backend = replace(BACKEND, rpm_limit=60, burst=10)
    first, second = await hub.process(backend), await hub.process(backend)
    for _ in range(4):
        await first.must_take()
    await second.must_take()
    view = second.state.view(backend, now=hub.clock.now)
    assert (view.tokens, view.capacity, view.rate_per_minute) == (5, 10, 60)
    assert view.utilization == pytest.approx(0.5)


BACKENDS = (
    replace(BACKEND, id="a", rpm_limit=120, burst=3, max_concurrency=4),
    replace(BACKEND, id="b", rpm_limit=30, burst=2, tpm_limit=600),
    replace(BACKEND, id="c", rpm_limit=None, max_concurrency=2),
)
STEP = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 1), st.integers(0, 400)),
    st.tuples(st.just("look"), st.integers(0, 1), st.integers(0, 400)),
    st.tuples(st.just("emergency"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("succeeded"), st.integers(0, 30), st.integers(0, 600)),
    st.tuples(st.just("limited"), st.integers(0, 30), st.sampled_from([None, 0.5, 7.0, 9000.0])),
    st.tuples(st.just("failed"), st.integers(0, 30), st.integers(0, 600)),
    st.tuples(st.just("quota"), st.integers(0, 30), st.none()),
    st.tuples(st.just("give_back"), st.integers(0, 30), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.5, 2.0, 7.0, 35.0]), st.none()),
    st.tuples(st.just("wait_long"), st.sampled_from([100.0, 950.0]), st.none()),
)


class Beside:
    """The same done to a shared state by two processes, and to the oracle."""

    def __init__(self, hub: Hub, shared: list[Process], news: PubSub) -> None:
        self.hub, self.shared, self.news = hub, shared, news
        self.oracle = Process(MemoryState(chance=Always()), hub.clock, BACKENDS)
        self.leases: list[tuple[int, Lease, Lease]] = []

    async def step(self, what: str, which: Any, how: Any) -> None:
        if what in ("wait", "wait_long"):
            self.hub.clock.now += which
            for number in range(len(self.shared)):
                self.hub.renew(number)
        elif what in ("take", "look", "emergency"):
            await getattr(self, f"_{what}")(which, how)
        elif self.leases:
            number, shared, oracle = self.leases.pop(which % len(self.leases))
            found = await told(self._settle(self.shared[number].state, what, shared, how))
            expected = await told(self._settle(self.oracle.state, what, oracle, how))
            assert _close(found) == _close(expected), what
            await self.hub.settled(number)
            await self._hear()

    async def _hear(self) -> None:
        """Have both processes hear all news that there are. Redis answers the ping after it has sent them."""
        await self.news.ping()
        while (message := await self.news.get_message(timeout=PATIENT_SECONDS)) is not None:
            if message["type"] == "pong":
                return
            if message["type"] == "message":
                word, *details = msgspec.msgpack.decode(message["data"])
                for process in self.shared:
                    assert isinstance(process.state, RedisState)
                    process.state.heard(word, *details)

    async def _take(self, number: int, tokens: int) -> None:
        shared, passed = await self.shared[number].try_take(tokens=tokens)
        oracle, expected = await self.oracle.try_take(tokens=tokens)
        self._same(passed, expected)
        assert (shared is None) == (oracle is None)
        if shared is not None and oracle is not None:
            assert (shared.candidate.backend.id, shared.trial) == (oracle.candidate.backend.id, oracle.trial)
            assert shared.reserved_tokens == oracle.reserved_tokens
            self.leases.append((number, shared, oracle))

    async def _look(self, number: int, tokens: int) -> None:
        found = [
            await process.state.passed_over(
                process.candidates, now=self.hub.clock.now, banned=frozenset(), tokens=lambda: tokens
            )
            for process in (self.shared[number], self.oracle)
        ]
        self._same(*found)

    async def _emergency(self, number: int, which: int) -> None:
        found = [
            await process.state.take_emergency(process.candidates[which], now=self.hub.clock.now)
            for process in (self.shared[number], self.oracle)
        ]
        shared, oracle = found
        assert (shared is None) == (oracle is None)
        if shared is not None and oracle is not None:
            self.leases.append((number, shared, oracle))

    def _settle(self, state: State, what: str, lease: Lease, how: Any) -> Told[Any]:
        now = self.hub.clock.now
        said: Told[Any] = None
        match what:
            case "succeeded":
                said = state.succeeded(lease, now=now, latency_seconds=0.1)
            case "limited":
                said = state.rate_limited(lease, now=now, given_seconds=how)
            case "failed":
                said = state.failed(lease, now=now)
            case "quota":
                said = state.errored(lease, now=now, kind=ErrorKind.QUOTA)
            case "give_back":
                state.give_back(lease)
                return None
        state.release(lease, now=self.hub.clock.now, used_tokens=how if isinstance(how, int) else 0)
        return said

    def _same(self, passed: Sequence[PassedOver], expected: Sequence[PassedOver]) -> None:
        by_id = {each.candidate.backend.id: each for each in passed}
        assert by_id.keys() == {each.candidate.backend.id for each in expected}
        for each in expected:
            own = by_id[each.candidate.backend.id]
            if {own.reason, each.reason} == {Reason.COOLING, Reason.ERROR}:
                continue  # it is both, and a process that knows of the one does not ask for the other
            assert own.reason is each.reason
            if each.ready_at is not None:
                assert own.ready_at == pytest.approx(each.ready_at, abs=1e-3)


def _close(found: Any) -> Any:
    return replace(found, seconds=round(found.seconds, 6)) if isinstance(found, CooldownBegun) else found


ANOTHER_IS_DUE_FOR_A_TRIAL = [
    ("take", 0, 0), ("quota", 0, None), ("take", 0, 0), ("wait_long", 950.0, None), ("quota", 0, None), ("take", 0, 0),
]  # fmt: skip
COOLS_WHILE_IN_ERROR = [("take", 0, 0), ("quota", 0, None), ("emergency", 1, 0), ("limited", 0, None), ("take", 1, 0)]

EMERGENCY_IS_SETTLED_LATER = [
    ("take", 0, 0), ("take", 0, 0), ("emergency", 0, 1), ("take", 0, 0), ("wait", 0.01, None), ("succeeded", 2, 201),
    ("take", 0, 400),
]  # fmt: skip


@pytest.mark.timeout(600)
@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEP, max_size=40))
@example(steps=ANOTHER_IS_DUE_FOR_A_TRIAL)
@example(steps=COOLS_WHILE_IN_ERROR)
@example(steps=EMERGENCY_IS_SETTLED_LATER)
def test_shared_decisions_are_those_of_one_process(redis_url: str, steps: list[tuple[str, Any, Any]]) -> None:
    async def run() -> None:
        hub = Hub(redis_url)
        redis = Redis.from_url(redis_url)
        try:
            # Leases of requests under way are renewed; here the clock jumps, so they last.
            processes = [await hub.process(*BACKENDS, lease_seconds=1e6) for _ in range(2)]
            async with redis.pubsub() as news:
                await news.subscribe(channel(hub.prefix))
                beside = Beside(hub, processes, news)
                for step in steps:
                    await beside.step(*step)
        finally:
            await redis.aclose()
            await hub.aclose()

    asyncio.run(run())
