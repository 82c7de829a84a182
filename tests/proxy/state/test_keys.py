"""What client keys may do: rates, parallel requests, budgets."""

from typing import Any

import pytest

from agenthub.core.errors import BudgetExceeded, RateLimited
from proxy.rules.caller import Budget, Caller, Period
from proxy.state.keys import Admission, KeyLimits

DOLLAR = 10**12
DAY = 86_400.0


def tomorrow(_: Period, epoch: float) -> float:
    return (epoch // DAY + 1) * DAY


class World:
    """The limits of one key, with a clock of its own."""

    def __init__(self, *, processes: int = 1, **limits: Any) -> None:
        self.caller = Caller("key_a", "a", **limits)
        self.now = 1000.0
        self.marks: list[tuple[int, int]] = []
        self.ended: list[float] = []
        self.limits = KeyLimits(turnover=tomorrow, on_mark=self.mark, on_renewed=self.renewed, processes=processes)

    def mark(self, caller: Caller, percent: int, *, spent_picousd: int, period_ends_at: float) -> None:
        self.marks.append((percent, spent_picousd))

    def renewed(self, caller: Caller, *, period_ends_at: float) -> None:
        self.ended.append(period_ends_at)

    async def admit(self, *, tokens: int = 0, picousd: int = 0) -> Admission:
        return await self.limits.admit(
            self.caller, now=self.now, epoch=self.now, tokens=lambda: tokens, picousd=lambda: picousd
        )

    async def spend(self, picousd: int) -> None:
        self.limits.settle(await self.admit(), used_tokens=0, picousd=picousd)

    def seed(self, picousd: int) -> None:
        self.limits.seed({b"": self.caller}, {self.caller.id: picousd}, now=self.now, epoch=self.now)

    def spent(self) -> int | None:
        return self.limits.spent(self.caller, epoch=self.now)


async def test_requests_per_minute_come_back_one_by_one_and_the_wait_is_the_true_one() -> None:
    world = World(rpm_limit=60)
    for _ in range(60):
        await world.admit()
    with pytest.raises(RateLimited) as refused:
        await world.admit()
    assert refused.value.retry_after_seconds == pytest.approx(1.0)
    world.now += 1.0
    await world.admit()


async def test_tokens_per_minute_are_reserved_by_estimate_and_settled_by_use() -> None:
    world = World(tpm_limit=600)
    first = await world.admit(tokens=500)
    with pytest.raises(RateLimited) as refused:
        await world.admit(tokens=200)
    assert refused.value.retry_after_seconds == pytest.approx(10.0)
    world.limits.settle(first, used_tokens=100, picousd=None)
    await world.admit(tokens=500)


async def test_more_than_a_minute_of_tokens_goes_when_none_are_in_use() -> None:
    world = World(tpm_limit=600)
    await world.admit(tokens=5000)
    with pytest.raises(RateLimited):
        await world.admit(tokens=1)


async def test_a_request_that_is_refused_takes_nothing() -> None:
    world = World(rpm_limit=60, max_parallel=1)
    await world.admit()
    with pytest.raises(RateLimited):
        await world.admit()
    requests, _ = world.limits.remaining(world.caller, now=world.now)
    assert requests is not None
    assert (requests.limit, requests.left) == (60, 59)
    assert requests.full_in_seconds == pytest.approx(1.0)


async def test_as_many_at_once_as_the_key_may_have() -> None:
    world = World(max_parallel=2)
    first = await world.admit()
    await world.admit()
    with pytest.raises(RateLimited):
        await world.admit()
    world.limits.settle(first, used_tokens=0, picousd=None)
    await world.admit()


async def test_a_budget_ends_with_the_request_that_reaches_it() -> None:
    world = World(budget=Budget(DOLLAR, Period.DAY))
    await world.spend(DOLLAR - 1)
    await world.spend(DOLLAR)
    with pytest.raises(BudgetExceeded) as refused:
        await world.admit()
    assert refused.value.retry_after_seconds == DAY - world.now
    world.now = DAY
    await world.admit()
    assert world.spent() == 0


async def test_what_is_reserved_counts_until_it_is_settled() -> None:
    world = World(budget=Budget(DOLLAR, Period.DAY))
    first = await world.admit(picousd=DOLLAR)
    with pytest.raises(BudgetExceeded):
        await world.admit()
    world.limits.settle(first, used_tokens=0, picousd=5)
    await world.admit()
    assert world.spent() == 5


async def test_what_began_in_a_period_does_not_count_for_the_next() -> None:
    world = World(budget=Budget(DOLLAR, Period.DAY))
    late = await world.admit(picousd=7)
    world.now = DAY
    await world.spend(1)
    world.limits.settle(late, used_tokens=0, picousd=DOLLAR)
    assert world.spent() == 1


async def test_somebody_is_told_once_at_each_mark() -> None:
    world = World(budget=Budget(1000, Period.DAY))
    for picousd in (799, 1, 100, 500):
        await world.spend(picousd)
    assert world.marks == [(80, 800), (100, 1400)]
    world.now = DAY
    await world.spend(800)
    assert world.marks[2:] == [(80, 800)]
    assert world.ended == [DAY]


async def test_the_ledger_tells_what_was_spent_before_and_by_others() -> None:
    world = World(budget=Budget(1000, Period.DAY))
    world.seed(400)
    await world.spend(100)
    world.seed(450)  # the ledger has not seen all of ours yet
    assert world.spent() == 500
    world.seed(700)  # others have spent 200 meanwhile
    assert world.spent() == 700


async def test_processes_share_what_is_left_until_the_ledger_tells_more() -> None:
    world = World(budget=Budget(1000, Period.DAY), processes=2)
    world.seed(0)
    await world.spend(500)
    with pytest.raises(BudgetExceeded):
        await world.admit()
    world.seed(500)
    await world.spend(250)
    with pytest.raises(BudgetExceeded):
        await world.admit()


async def test_processes_share_rates_but_callers_are_told_of_the_whole() -> None:
    world = World(rpm_limit=120, processes=4)
    for _ in range(30):
        await world.admit()
    with pytest.raises(RateLimited):
        await world.admit()
    requests, _ = world.limits.remaining(world.caller, now=world.now)
    assert requests is not None
    assert requests.limit == 120


async def test_a_lowered_limit_applies_to_the_running_bucket() -> None:
    world = World(rpm_limit=100)
    for _ in range(30):
        await world.admit()
    world.caller = Caller("key_a", "a", rpm_limit=40)
    for _ in range(10):
        await world.admit()
    with pytest.raises(RateLimited):
        await world.admit()


async def test_a_key_that_is_gone_is_forgotten_when_its_last_request_has_ended() -> None:
    world = World(rpm_limit=1)
    admission = await world.admit()
    world.limits.seed({}, {}, now=world.now, epoch=world.now)
    world.limits.settle(admission, used_tokens=0, picousd=None)
    world.limits.seed({}, {}, now=world.now, epoch=world.now)
    await world.admit()
