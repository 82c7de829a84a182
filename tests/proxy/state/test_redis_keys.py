"""Limits and budgets of client keys that processes share, next to `KeyLimits`, which says what is right."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenthub.core.errors import BudgetExceeded, RateLimited, Refused
from proxy.rules.caller import Budget, Caller, Period
from proxy.state import scripts
from proxy.state.keys import Admission, KeyLimits
from proxy.state.mirror import MirrorLimits
from proxy.state.protocol import Limits
from proxy.state.redis_keys import RedisKeyLimits
from proxy.state.shared import Shared, no_matter
from tests.proxy.private_redis import PATIENT_SECONDS, PrivateRedis
from tests.proxy.state.test_keys import DAY, DOLLAR, tomorrow


class Hub:
    """Processes that share the limits of one key, with one clock."""

    def __init__(self, url: str, *, processes: int = 2, **limits: Any) -> None:
        self.url, self.prefix = url, uuid4().hex
        self.caller = Caller("key_a", "a", **limits)
        self.now = 1000.0
        self.lost: list[str] = []
        self.marks: list[int] = []
        self.shared = [self._shared() for _ in range(processes)]
        self.limits = [RedisKeyLimits(each, self._mirror(), seed_seconds=0) for each in self.shared]

    def _shared(self) -> Shared:
        return Shared(
            self.url,
            prefix=self.prefix,
            on_lost=self.lost.append,
            call_seconds=PATIENT_SECONDS,
            redis_now=lambda: self.now,
            monotonic=lambda: self.now,
        )

    def _mirror(self) -> MirrorLimits:
        return MirrorLimits(turnover=tomorrow, on_mark=self._mark, on_renewed=lambda *_, **__: None, processes=2)

    def _mark(self, caller: Caller, percent: int, *, spent_picousd: int, period_ends_at: float) -> None:
        self.marks.append(percent)

    async def open(self) -> "Hub":
        for each in self.shared:
            await each.pipe.open()
            each.begin(lambda: None)
        return self

    async def aclose(self) -> None:
        for each in self.shared:
            await each.pipe.aclose()

    async def admit(self, process: int = 0, *, tokens: int = 0, picousd: int = 0) -> Admission:
        return await admit(self.limits[process], self.caller, self.now, tokens=tokens, picousd=picousd)

    async def spend(self, picousd: int, process: int = 0) -> None:
        self.limits[process].settle(await self.admit(process), used_tokens=0, picousd=picousd)

    async def settled(self) -> None:
        """Come back when what was said so far has been carried out."""
        for each in self.shared:
            await each.ask(scripts.RENEW, [], {"leases": []}, unheard=no_matter)

    def spent(self, process: int) -> int | None:
        return self.limits[process].spent(self.caller, epoch=self.now)

    async def seed(self, picousd: int, process: int = 0) -> None:
        self.limits[process].seed({b"": self.caller}, {self.caller.id: picousd}, now=self.now, epoch=self.now)
        await asyncio.sleep(0.001)  # `seed_seconds` is 0: it is believed in the next turns of the loop


async def admit(limits: Limits, caller: Caller, now: float, *, tokens: int, picousd: int) -> Admission:
    return await limits.admit(caller, now=now, epoch=now, tokens=lambda: tokens, picousd=lambda: picousd)


@pytest.fixture
async def hubs(redis_url: str) -> AsyncIterator[list[Hub]]:
    made: list[Hub] = []
    yield made
    for hub in made:
        await hub.aclose()
        assert hub.lost == []


@pytest.fixture
def make(redis_url: str, hubs: list[Hub]) -> Any:
    async def made(**limits: Any) -> Hub:
        hubs.append(Hub(redis_url, **limits))
        return await hubs[-1].open()

    return made


async def test_requests_per_minute_are_those_of_all_processes(make: Any) -> None:
    hub = await make(rpm_limit=4)
    for process in (0, 1, 0, 1):
        await hub.admit(process)
    for process in (0, 1):
        with pytest.raises(RateLimited) as refused:
            await hub.admit(process)
        assert refused.value.retry_after_seconds == pytest.approx(15)
    requests, _ = hub.limits[0].remaining(hub.caller, now=hub.now)
    assert (requests.limit, requests.left) == (4, 0)
    hub.now += 15
    await hub.admit(1)


async def test_tokens_are_reserved_and_settled_by_what_was_used(make: Any) -> None:
    hub = await make(tpm_limit=1000)
    first = await hub.admit(0, tokens=800)
    with pytest.raises(RateLimited, match="1000 tokens per minute"):
        await hub.admit(1, tokens=300)
    hub.limits[0].settle(first, used_tokens=100, picousd=None)
    await hub.settled()
    await hub.admit(1, tokens=900)


async def test_no_more_at_once_than_allowed_in_all_and_the_dead_do_not_count(make: Any) -> None:
    hub = await make(max_parallel=2)
    await hub.admit(0)
    await hub.admit(1)
    with pytest.raises(RateLimited, match="has 2 requests under way"):
        await hub.admit(0)
    hub.now += 10.1  # nobody has renewed them
    await hub.admit(0)


async def test_a_budget_is_one_in_all_processes(make: Any) -> None:
    hub = await make(budget=Budget(10 * DOLLAR, Period.DAY))
    for process in (0, 1, 0, 1):
        await hub.spend(2 * DOLLAR, process)
    await hub.spend(DOLLAR, 0)
    await hub.settled()
    await hub.admit(1)  # a dollar is left
    assert hub.spent(1) == 9 * DOLLAR
    await hub.spend(DOLLAR, 0)
    await hub.settled()
    with pytest.raises(BudgetExceeded):
        await hub.admit(1)
    hub.now += DAY
    await hub.admit(1)


async def test_what_is_reserved_is_not_given_out_twice_and_ends_with_its_lease(make: Any) -> None:
    hub = await make(budget=Budget(DOLLAR, Period.TOTAL))
    await hub.admit(0, picousd=DOLLAR)
    with pytest.raises(BudgetExceeded):
        await hub.admit(1)
    hub.now += 10.1
    await hub.admit(1)


async def test_the_ledger_knows_of_what_redis_does_not(make: Any) -> None:
    hub = await make(budget=Budget(10 * DOLLAR, Period.DAY))
    await hub.seed(4 * DOLLAR, 0)
    await hub.spend(DOLLAR, 0)
    await hub.settled()
    await hub.admit(1)
    assert hub.spent(1) == 5 * DOLLAR
    await hub.seed(5 * DOLLAR, 1)  # the same dollar, by now in the ledger
    await hub.admit(1)
    assert hub.spent(1) == 5 * DOLLAR


async def test_the_marks_of_a_budget_are_told(make: Any) -> None:
    hub = await make(budget=Budget(10 * DOLLAR, Period.DAY))
    await hub.spend(5 * DOLLAR, 0)
    await hub.spend(3 * DOLLAR, 1)
    await hub.settled()
    assert 80 in hub.marks


async def test_a_redis_that_comes_back_empty_is_told_what_was_spent_and_who_is_under_way(tmp_path: Any) -> None:
    with PrivateRedis(tmp_path) as server:
        hub = await Hub(server.url, budget=Budget(10 * DOLLAR, Period.DAY), max_parallel=4).open()
        await hub.spend(3 * DOLLAR, 0)
        kept = await hub.admit(0)
        lost = await hub.admit(0)
        server.kill()
        await hub.settled()  # both notice
        assert not any(each.is_shared for each in hub.shared)
        hub.limits[0].settle(lost, used_tokens=0, picousd=DOLLAR)
        await hub.spend(DOLLAR, 0)  # its share is enough for it
        server.start()
        await hub.open()
        await hub.admit(0)
        await hub.admit(1)
        assert hub.spent(1) == 5 * DOLLAR
        hub.limits[0].settle(kept, used_tokens=0, picousd=DOLLAR)
        await hub.admit(0)
        assert hub.spent(0) == 6 * DOLLAR
        await hub.admit(1)
        with pytest.raises(RateLimited, match="has 4 requests under way"):
            await hub.admit(0)
        await hub.aclose()


STEP = st.one_of(
    st.tuples(st.just("admit"), st.integers(0, 1), st.integers(0, 900), st.integers(0, 3)),
    st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 900), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 1.0, 5.0, 61.0, 43_200.0]), st.just(0), st.just(0)),
)
LIMITS = st.fixed_dictionaries(
    {
        "rpm_limit": st.sampled_from([None, 1, 30, 600]),
        "tpm_limit": st.sampled_from([None, 500, 5000]),
        "max_parallel": st.sampled_from([None, 1, 3]),
        "budget": st.sampled_from([None, Budget(5 * DOLLAR, Period.DAY), Budget(8 * DOLLAR, Period.TOTAL)]),
    }
)


@settings(max_examples=60, deadline=None)
@given(limits=LIMITS, steps=st.lists(STEP, max_size=40))
def test_shared_decisions_are_those_of_one_process(
    redis_url: str, limits: dict[str, Any], steps: list[tuple[str, Any, int, int]]
) -> None:
    async def run() -> None:
        hub = Hub(redis_url, **limits)
        try:
            await _beside(await hub.open(), steps)
        finally:
            await hub.aclose()

    asyncio.run(run())


def _turnover(period: Period, epoch: float) -> float:
    return float("inf") if period is Period.TOTAL else tomorrow(period, epoch)


async def _beside(hub: Hub, steps: list[tuple[str, Any, int, int]]) -> None:
    for each in hub.limits:
        each.mirror._turnover = _turnover
    for shared in hub.shared:
        shared.lease_seconds = 1e9  # the clock jumps
    oracle = KeyLimits(turnover=_turnover, on_mark=hub._mark, on_renewed=lambda *_, **__: None)
    open_: list[tuple[int, Admission, Admission]] = []
    for what, which, tokens, dollars in steps:
        if what == "wait":
            hub.now += which
        elif what == "admit":
            found = await _said(hub.limits[which], hub, tokens, dollars)
            expected = await _said(oracle, hub, tokens, dollars)
            assert str(found) == str(expected) if isinstance(expected, Refused) else isinstance(found, Admission)
            if isinstance(found, Admission) and isinstance(expected, Admission):
                open_.append((which, found, expected))
        elif open_:
            process, found, expected = open_.pop(which % len(open_))
            cost = dollars * DOLLAR // 2
            hub.limits[process].settle(found, used_tokens=tokens, picousd=cost)
            oracle.settle(expected, used_tokens=tokens, picousd=cost)
            await hub.settled()


async def _said(limits: Limits, hub: Hub, tokens: int, dollars: int) -> Admission | Refused:
    try:
        return await admit(limits, hub.caller, hub.now, tokens=tokens, picousd=dollars * DOLLAR // 4)
    except Refused as refused:
        return refused
