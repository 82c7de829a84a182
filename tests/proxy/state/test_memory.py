"""What the proxy keeps in mind about backends: limits, cooldowns, half-open turns, errors."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from agenthub.core.params import RuntimeSettings
from providers.rules.table import (
    ApiKind,
    BackendEntry,
    BackendStatus,
    Candidate,
    ErrorKind,
    HealthState,
    MappingEntry,
    PoolEntry,
    RoutingTable,
    Strategy,
    routing_table,
)
from proxy.rules.routing import PassedOver, Reason
from proxy.state.memory import MemoryState
from proxy.state.protocol import CooldownBegun, Lease

BACKEND = BackendEntry(
    id="a",
    name="a",
    label="",
    pool="primary",
    base_url="http://host/v1",
    api=ApiKind.OPENAI_COMPLETIONS,
    api_key="k",
    rpm_limit=None,
    mappings=(MappingEntry("m", "n"),),
)
EPOCH = 1_000_000.0


def table(*backends: BackendEntry) -> RoutingTable:
    return routing_table((PoolEntry("primary", 0, Strategy.ROUND_ROBIN, backends),))


class World:
    """One state and one backend, with a clock of its own."""

    def __init__(self, backend: BackendEntry = BACKEND, *, processes: int = 1) -> None:
        self.backend = backend
        self.now = 1000.0
        self.tokens = 0  # what a request reserves of the tokens per minute
        self.state = MemoryState(processes=processes, chance=Random(1))
        self.apply(backend)

    def apply(self, backend: BackendEntry) -> None:
        self.backend = backend
        self.state.apply(table(backend), RuntimeSettings(), now=self.now, epoch=EPOCH + self.now)

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.backend, self.backend.mappings[0])

    def take(self) -> Lease | None:
        return self.try_take()[0]

    def try_take(self) -> tuple[Lease | None, Sequence[PassedOver]]:
        return asyncio.run(
            self.state.take_first([self.candidate], now=self.now, banned=frozenset(), tokens=lambda: self.tokens)
        )

    def must_take(self) -> Lease:
        lease = self.take()
        assert lease is not None
        return lease

    def reason(self) -> Reason:
        lease, passed = self.try_take()
        assert lease is None
        return passed[0].reason

    def emergency(self) -> Lease | None:
        return asyncio.run(self.state.take_emergency(self.candidate, now=self.now))

    def cooling_seconds(self) -> float:
        return self.state.view(self.backend, now=self.now).cooling_seconds


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    world = World(replace(BACKEND, rpm_limit=60, burst=3))
    assert [world.take() is not None for _ in range(4)] == [True, True, True, False]
    _, passed = world.try_take()
    assert passed[0].reason is Reason.NO_REQUESTS
    assert passed[0].ready_at == pytest.approx(world.now + 1)
    world.now += 1
    assert world.take() is not None
    assert world.take() is None


def test_a_changed_limit_applies_to_the_running_bucket() -> None:
    world = World(replace(BACKEND, rpm_limit=60, burst=10))
    for _ in range(10):
        world.must_take()
    world.apply(replace(BACKEND, rpm_limit=60, burst=12))
    assert [world.take() is not None for _ in range(3)] == [True, True, False]


def test_each_process_enforces_its_share() -> None:
    world = World(replace(BACKEND, rpm_limit=60, burst=8, max_concurrency=4), processes=4)
    assert [world.take() is not None for _ in range(2)] == [True, False]
    view = world.state.view(world.backend, now=world.now)
    assert (view.capacity, view.rate_per_minute) == (2, 15)


def test_tokens_per_minute_are_reserved_by_estimate_and_settled_by_usage() -> None:
    world = World(replace(BACKEND, tpm_limit=600))
    world.tokens = 400
    lease = world.must_take()
    _, passed = world.try_take()
    assert passed[0].reason is Reason.NO_TOKENS
    assert passed[0].ready_at == pytest.approx(world.now + 20)
    world.state.release(lease, now=world.now, used_tokens=100)  # 500 are left
    second = world.must_take()
    world.state.release(
        second, now=world.now, used_tokens=1300
    )  # 800 too many: a minute and a half goes by before 100 are there
    world.tokens = 100
    _, passed = world.try_take()
    assert passed[0].ready_at == pytest.approx(world.now + 90)
    world.now += 90
    assert world.take() is not None


def test_a_request_larger_than_a_minutes_tokens_goes_out_when_the_bucket_is_full() -> None:
    world = World(replace(BACKEND, tpm_limit=600))
    world.tokens = 100_000
    lease = world.must_take()
    world.state.release(lease, now=world.now, used_tokens=600)
    assert world.reason() is Reason.NO_TOKENS
    world.now += 60
    assert world.take() is not None


def test_max_concurrency_counts_what_is_under_way() -> None:
    world = World(replace(BACKEND, max_concurrency=1))
    lease = world.must_take()
    assert world.reason() is Reason.BUSY
    world.state.release(lease, now=world.now, used_tokens=0)
    assert world.take() is not None


def test_the_first_429_cools_for_the_time_given() -> None:
    world = World()
    begun = world.state.rate_limited(world.must_take(), now=world.now, given_seconds=7)
    assert begun is not None
    assert 7 <= begun.seconds <= 7.7
    assert begun.consecutive_count == 1
    assert world.reason() is Reason.COOLING


def test_the_count_grows_and_only_a_success_resets_it() -> None:
    world = World()
    lengths = []
    for _ in range(3):
        lease = world.must_take()
        begun = world.state.rate_limited(lease, now=world.now, given_seconds=None)
        assert begun is not None
        lengths.append(begun.seconds)
        world.state.release(lease, now=world.now, used_tokens=0)
        world.now += begun.seconds
    assert [30 <= lengths[0] <= 33, 60 <= lengths[1] <= 66, 120 <= lengths[2] <= 132] == [True] * 3
    lease = world.must_take()
    assert world.state.succeeded(lease, now=world.now, latency_seconds=0.1) is True
    world.state.release(lease, now=world.now, used_tokens=0)
    begun = world.state.rate_limited(world.must_take(), now=world.now, given_seconds=None)
    assert begun is not None
    assert begun.consecutive_count == 1


def test_many_in_flight_that_get_429_make_one_cooldown() -> None:
    world = World()
    leases = [world.must_take() for _ in range(20)]
    news = []
    for lease in leases:
        world.now += 0.01
        news.append(world.state.rate_limited(lease, now=world.now, given_seconds=7))
    assert [begun is not None for begun in news] == [True] + [False] * 19


def test_a_later_time_given_extends_the_cooldown_and_counts_once() -> None:
    world = World()
    first, second = world.must_take(), world.must_take()
    world.state.rate_limited(first, now=world.now, given_seconds=7)
    extended = world.state.rate_limited(second, now=world.now + 1, given_seconds=60)
    assert extended is not None
    assert extended.extended
    assert extended.consecutive_count == 1
    world.now += 1
    assert world.cooling_seconds() >= 60


def test_after_a_cooldown_one_request_at_a_time_until_one_succeeds() -> None:
    world = World()
    world.state.rate_limited(world.must_take(), now=world.now, given_seconds=5)
    world.now += 6
    trial = world.must_take()
    assert trial.trial
    assert world.reason() is Reason.HALF_OPEN
    world.state.release(
        trial, now=world.now, used_tokens=0
    )  # it ended without telling anything, e.g. the caller's own mistake
    trial = world.must_take()
    assert trial.trial
    world.state.succeeded(trial, now=world.now, latency_seconds=0.1)
    world.state.release(trial, now=world.now, used_tokens=0)
    assert [world.must_take().trial for _ in range(3)] == [False] * 3


def test_a_failed_trial_cools_at_once() -> None:
    world = World()
    world.state.rate_limited(world.must_take(), now=world.now, given_seconds=5)
    world.now += 6
    begun = world.state.failed(world.must_take(), now=world.now)
    assert begun is not None
    assert begun.reason == "failures"
    assert 5 <= begun.seconds <= 5.5


def test_three_failures_in_a_row_cool_and_grow_to_fifteen_seconds() -> None:
    world = World()
    news = [world.state.failed(world.must_take(), now=world.now) for _ in range(3)]
    assert [begun is not None for begun in news] == [False, False, True]
    lengths = []
    for _ in range(3):
        world.now += 20
        begun = world.state.failed(world.must_take(), now=world.now)
        assert begun is not None
        lengths.append(begun.seconds)
        world.state.release(Lease(world.candidate, world.now, trial=True), now=world.now, used_tokens=0)
    assert [10 <= lengths[0] <= 11, 15 <= lengths[1] <= 16.5, 15 <= lengths[2] <= 16.5] == [True] * 3


def outcome(world: World, *, success: bool) -> CooldownBegun | None:
    """One request of a second's length."""
    lease = world.must_take()
    world.now += 1
    begun = None
    if success:
        world.state.succeeded(lease, now=world.now, latency_seconds=0.1)
    else:
        begun = world.state.failed(lease, now=world.now)
    world.state.release(lease, now=world.now, used_tokens=0)
    return begun


def test_under_half_of_five_requests_in_a_minute_cools() -> None:
    world = World()
    for success in (False, False, True, False):
        assert outcome(world, success=success) is None  # a quarter of four, and never three in a row
    begun = outcome(world, success=False)
    assert begun is not None
    assert begun.reason == "failures"
    assert 5 <= begun.seconds <= 5.5


def test_half_of_the_requests_is_enough_and_what_is_a_minute_old_is_forgotten() -> None:
    world = World()
    for success in (True, False) * 5:
        assert outcome(world, success=success) is None
    world = World()
    for success in (False, False, True, False):
        assert outcome(world, success=success) is None
    world.now += 65
    assert outcome(world, success=False) is None  # the first of a new minute, though the second in a row


def test_failures_never_cool_for_longer_than_fifteen_seconds() -> None:
    world = World()
    lengths = []
    for _ in range(12):
        begun = None
        while begun is None:
            begun = outcome(world, success=False)
        lengths.append(begun.seconds)
        world.now += begun.seconds
    assert [5 <= lengths[0] <= 5.5, 10 <= lengths[1] <= 11] == [True, True]
    assert all(15 <= length <= 16.5 for length in lengths[2:])


def test_a_cooldown_is_never_shortened() -> None:
    world = World()
    leases = [world.must_take() for _ in range(4)]
    world.state.rate_limited(leases[0], now=world.now, given_seconds=100)
    for lease in leases[1:]:
        assert world.state.failed(lease, now=world.now + 1) is None
    assert world.cooling_seconds() >= 100


def test_an_error_stands_until_the_table_has_shown_it_and_then_not() -> None:
    world = World()
    assert world.state.errored(world.must_take(), now=world.now, kind=ErrorKind.CREDENTIALS) is True
    world.apply(BACKEND)  # the database does not know of it yet
    assert world.reason() is Reason.ERROR
    world.apply(replace(BACKEND, status=BackendStatus.ERROR, error_kind=ErrorKind.CREDENTIALS))
    assert world.reason() is Reason.ERROR
    world.apply(BACKEND)
    assert world.take() is not None


def test_a_spent_quota_gets_one_request_every_quarter_of_an_hour() -> None:
    world = World()
    world.state.errored(world.must_take(), now=world.now, kind=ErrorKind.QUOTA)
    world.now += 14 * 60
    assert world.reason() is Reason.ERROR
    world.now += 61
    trial = world.must_take()
    assert trial.trial
    assert world.reason() is Reason.ERROR
    assert world.state.succeeded(trial, now=world.now, latency_seconds=0.1) is True
    world.state.release(trial, now=world.now, used_tokens=0)
    assert world.take() is not None


def test_a_reset_by_an_operator_forgets_cooldown_and_count() -> None:
    world = World()
    world.state.rate_limited(world.must_take(), now=world.now, given_seconds=500)
    world.apply(replace(BACKEND, reset_count=1))
    lease = world.must_take()
    assert not lease.trial


def test_a_cooldown_of_another_process_holds_here_and_is_half_open_after_it() -> None:
    world = World()
    until = EPOCH + world.now + 30
    world.apply(replace(BACKEND, status=BackendStatus.COOLING, cooldown_until=until, consecutive_429_count=2))
    assert world.reason() is Reason.COOLING
    assert world.cooling_seconds() == pytest.approx(30)
    world.now += 31
    assert world.must_take().trial


DOWN = replace(BACKEND, health=HealthState.DOWN)


def test_what_is_down_gets_one_trial_at_a_time_and_not_more_than_one_in_five_seconds() -> None:
    world = World(DOWN)
    trial = world.must_take()
    assert trial.trial
    assert world.reason() is Reason.DOWN
    world.now += 60
    assert world.reason() is Reason.DOWN  # the trial is still under way
    world.state.failed(trial, now=world.now)
    world.state.release(trial, now=world.now, used_tokens=0)
    second = world.must_take()
    world.state.release(second, now=world.now, used_tokens=0)
    world.now += 4.9
    assert world.reason() is Reason.DOWN
    world.now += 0.1
    assert world.must_take().trial


def test_failed_trials_of_what_is_down_make_no_cooldowns() -> None:
    world = World(DOWN)
    for _ in range(10):
        trial = world.must_take()
        assert world.state.failed(trial, now=world.now) is None
        world.state.release(trial, now=world.now, used_tokens=0)
        world.now += 5
    assert world.cooling_seconds() == 0


def test_a_trial_that_succeeds_brings_back_what_was_down_before_the_table_says_so() -> None:
    world = World(DOWN)
    trial = world.must_take()
    assert world.state.succeeded(trial, now=world.now, latency_seconds=0.1)
    world.state.release(trial, now=world.now, used_tokens=0)
    leases = [world.must_take() for _ in range(3)]
    assert not any(lease.trial for lease in leases)
    assert not world.state.succeeded(leases[0], now=world.now, latency_seconds=0.1)
    # What fails again is down again, as long as the table says so.
    world.state.failed(leases[1], now=world.now)
    assert world.reason() is Reason.DOWN


def test_what_was_brought_back_and_is_found_down_later_gets_trials_again() -> None:
    world = World(DOWN)
    trial = world.must_take()
    world.state.succeeded(trial, now=world.now, latency_seconds=0.1)
    world.state.release(trial, now=world.now, used_tokens=0)
    world.apply(replace(BACKEND, health=HealthState.HEALTHY))
    world.apply(DOWN)
    world.now += 5
    assert world.must_take().trial
    assert world.reason() is Reason.DOWN


def test_what_is_down_is_cooled_by_a_429_of_its_trial() -> None:
    world = World(DOWN)
    trial = world.must_take()
    assert world.state.rate_limited(trial, now=world.now, given_seconds=20) is not None
    world.state.release(trial, now=world.now, used_tokens=0)
    world.now += 6
    assert world.reason() is Reason.COOLING


def test_what_is_removed_is_passed_over() -> None:
    world = World()
    world.state.apply(table(), RuntimeSettings(), now=world.now, epoch=EPOCH)
    assert world.reason() is Reason.FAILED


def test_the_emergency_bucket_is_throttled_and_its_own() -> None:
    world = World(replace(BACKEND, rpm_limit=20, burst=1))
    world.must_take()
    assert world.take() is None
    assert [world.emergency() is not None for _ in range(3)] == [True, True, False]
    world.now += 30
    assert world.emergency() is not None


def test_load_and_latency_follow_the_traffic() -> None:
    world = World(replace(BACKEND, rpm_limit=60, burst=10))
    assert world.state.load(world.candidate) == 0
    lease = world.must_take()
    assert world.state.load(world.candidate) == pytest.approx(0.1)
    world.state.succeeded(lease, now=world.now, latency_seconds=2.0)
    assert world.state.latency(world.candidate) == 2.0
    world.state.succeeded(lease, now=world.now, latency_seconds=1.0)
    assert 1.0 < world.state.latency(world.candidate) < 2.0


def test_what_an_emergency_uses_is_not_lost_in_a_bucket_that_nobody_has_looked_at() -> None:
    world = World(replace(BACKEND, tpm_limit=600))
    world.now += 3600
    lease = world.emergency()
    assert lease is not None
    world.state.release(lease, now=world.now, used_tokens=600)
    world.tokens = 100
    assert world.reason() is Reason.NO_TOKENS
