"""When jobs are due."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat.rules.schedule import (
    LOOKED_BACK,
    MOST_CAUGHT_UP,
    Misfire,
    Schedule,
    ScheduleInvalid,
    ScheduleKind,
    check_in_deadline,
    due,
    jitter_seconds,
    next_tick,
    retry_seconds,
    schedule_check,
    ticks,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def every(seconds: float) -> Schedule:
    return Schedule(kind=ScheduleKind.EVERY, every_seconds=seconds)


def cron(expression: str, zone: str = "UTC") -> Schedule:
    return Schedule(kind=ScheduleKind.CRON, cron=expression, time_zone=zone)


def once(at: datetime | None) -> Schedule:
    return Schedule(kind=ScheduleKind.ONCE, at=at)


@given(st.floats(1, 100_000), st.floats(1e8, 4e9))
def test_the_ticks_of_an_interval_are_the_same_wherever_one_begins(seconds: float, epoch: float) -> None:
    begin = datetime.fromtimestamp(epoch, UTC)
    first, second, third = islice(ticks(every(seconds), begin), 3)
    step = timedelta(microseconds=round(seconds * 1_000_000))
    assert begin < first <= begin + step
    assert (second - first, third - second) == (step, step)
    assert next_tick(every(seconds), first - timedelta(microseconds=1)) == first
    assert next_tick(every(seconds), first) == second


def test_an_hour_is_a_full_hour() -> None:
    assert next_tick(every(3600), NOON + timedelta(minutes=1)) == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Berlin goes from 02:00 to 03:00 on 29 March 2026: what is due in between runs as soon as the gap is over.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+00:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00+00:00", ["2026-03-29T01:00", "2026-03-30T01:00"]),
        # And from 03:00 back to 02:00 on 25 October: a time that there is twice is run once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+00:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        # What is due each half hour is due each half hour, also in the hour that there is twice.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:45+00:00",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:15+00:00",
            ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"],
        ),
        # South of the equator it is the other way round, and the shift may be half an hour.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00+00:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
        ("0 9 * * 1-5", "Asia/Shanghai", "2026-03-06T02:00+00:00", ["2026-03-09T01:00", "2026-03-10T01:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00+00:00", ["2028-02-29T00:00"]),
    ],
)
def test_cron_goes_by_the_clock_on_the_wall(expression: str, zone: str, after: str, expected: list[str]) -> None:
    schedule = cron(expression, zone)
    schedule_check(schedule)
    found = list(islice(ticks(schedule, datetime.fromisoformat(after)), len(expected)))
    assert [tick.strftime("%Y-%m-%dT%H:%M") for tick in found] == expected


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-06-01"])
@given(minutes=st.integers(0, 24 * 60))
def test_a_daily_job_runs_once_a_day_also_when_the_clock_changes(day: str, minutes: int) -> None:
    hour, minute = divmod(minutes % (24 * 60), 60)
    schedule = cron(f"{minute} {hour} * * *", "Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = start + timedelta(days=1)  # the next midnight on the wall, however many hours are between
    found = [tick for tick in islice(ticks(schedule, start - timedelta(seconds=1)), 3) if tick < end]
    assert len(found) == 1


def test_once_is_once() -> None:
    assert next_tick(once(NOON), NOON - timedelta(days=1)) == NOON
    assert next_tick(once(NOON), NOON) is None


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (every(0), "every_seconds"),
        (every(0.5), "every_seconds"),
        (every(1e9), "every_seconds"),
        (every(float("nan")), "every_seconds"),
        (cron("* * * *"), "cron"),
        (cron(""), "cron"),
        (cron("* * * * * *"), "cron"),
        (cron("61 * * * *"), "cron"),
        (cron("@daily"), "cron"),
        (cron("0 0 30 2 *"), "cron"),
        (cron("* * * * *", "Europe/Nowhere"), "time_zone"),
        (cron("* * * * *", "../../etc/passwd"), "time_zone"),
        (cron("* * * * *", ""), "time_zone"),
        (once(None), "at"),
        (once(datetime(2026, 1, 1)), "at"),  # noqa: DTZ001 - that is what is wrong with it
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_with_its_field(schedule: Schedule, field: str) -> None:
    with pytest.raises(ScheduleInvalid) as problem:
        schedule_check(schedule)
    assert problem.value.field == field
    assert str(problem.value)


def look(schedule: Schedule, due_at: datetime, now: datetime, misfire: Misfire, grace: float = 30.0) -> tuple[int, ...]:
    found = due(schedule, due_at=due_at, now=now, misfire=misfire, grace_seconds=grace)
    return len(found.run), len(found.missed), int(found.more_missed)


MINUTELY = every(60)


@pytest.mark.parametrize(
    ("misfire", "late_minutes", "expected"),
    [
        # Nothing is late: the tick is run, whatever the rule.
        (Misfire.SKIP, 0, (1, 0, 0)),
        (Misfire.ONCE, 0, (1, 0, 0)),
        (Misfire.ALL, 0, (1, 0, 0)),
        # Five ticks were missed, and one is due now.
        (Misfire.SKIP, 5, (1, 5, 0)),
        (Misfire.ONCE, 5, (1, 0, 0)),
        (Misfire.ALL, 5, (6, 0, 0)),
        # Half an hour: ten are made up for at most.
        (Misfire.SKIP, 30, (1, 10, 1)),
        (Misfire.ALL, 30, (MOST_CAUGHT_UP + 1, 10, 1)),
        # Ten days: not every tick is gone through.
        (Misfire.SKIP, 14_400, (1, 10, 1)),
        (Misfire.ONCE, 14_400, (1, 0, 0)),
        (Misfire.ALL, 14_400, (MOST_CAUGHT_UP + 1, 10, 1)),
    ],
)
def test_what_was_missed_is_treated_by_its_rule(misfire: Misfire, late_minutes: int, expected: tuple[int, ...]) -> None:
    now = NOON + timedelta(seconds=1)
    due_at = NOON - timedelta(minutes=late_minutes)
    assert look(MINUTELY, due_at, now, misfire) == expected
    assert look(cron("* * * * *"), due_at, now, misfire)[:1] == expected[:1]


def test_one_run_makes_up_for_all_when_none_is_in_time() -> None:
    now = NOON + timedelta(minutes=31)
    assert look(every(3600), NOON - timedelta(hours=4), now, Misfire.ONCE) == (1, 0, 0)
    found = due(every(3600), due_at=NOON - timedelta(hours=4), now=now, misfire=Misfire.ONCE, grace_seconds=60)
    assert (found.run, found.next_due) == ((NOON,), NOON + timedelta(hours=1))


def test_what_was_to_run_once_is_missed_or_run_late_by_its_rule() -> None:
    now = NOON + timedelta(days=400)
    assert look(once(NOON), NOON, now, Misfire.SKIP) == (0, 1, 0)
    assert look(once(NOON), NOON, now, Misfire.ONCE) == (1, 0, 0)
    assert due(once(NOON), due_at=NOON, now=now, misfire=Misfire.ALL, grace_seconds=1).next_due is None


@given(
    seconds=st.floats(1, 5000),
    late=st.floats(0, 1e6),
    grace=st.floats(1, 5000),
    misfire=st.sampled_from(Misfire),
)
def test_no_tick_is_both_run_and_missed_and_none_is_due_twice(
    seconds: float, late: float, grace: float, misfire: Misfire
) -> None:
    schedule = every(seconds)
    due_at = next_tick(schedule, NOON)
    assert due_at is not None
    now = due_at + timedelta(seconds=late)
    found = due(schedule, due_at=due_at, now=now, misfire=misfire, grace_seconds=grace)
    both = (*found.missed, *found.run)
    assert len(set(both)) == len(both) <= LOOKED_BACK + MOST_CAUGHT_UP
    assert all(due_at <= tick <= now for tick in both)
    assert found.next_due is not None
    assert now < found.next_due <= now + timedelta(seconds=seconds, microseconds=1)
    again = due(schedule, due_at=found.next_due, now=found.next_due, misfire=misfire, grace_seconds=grace)
    assert not set(both) & {*again.run, *again.missed}


@given(st.text(max_size=20), st.floats(0.001, 3600))
def test_jitter_is_the_same_everywhere_and_within_its_bound(key: str, most: float) -> None:
    assert 0 <= jitter_seconds(key, NOON, most) < most
    assert jitter_seconds(key, NOON, most) == jitter_seconds(key, NOON.astimezone(ZoneInfo("Asia/Tokyo")), most)


def test_jitter_spreads_jobs_and_ticks() -> None:
    found = {jitter_seconds(f"job-{number}", NOON + timedelta(hours=number % 3), 60) for number in range(30)}
    assert len(found) == 30
    assert jitter_seconds("a", NOON, 0) == 0


def test_a_check_in_is_awaited_until_its_period_and_grace_are_over() -> None:
    grace = timedelta(seconds=300)
    assert check_in_deadline(every(3600), seen=NOON, grace_seconds=300) == NOON + timedelta(hours=1) + grace
    daily = cron("0 3 * * *")
    assert check_in_deadline(daily, seen=NOON, grace_seconds=300) == NOON + timedelta(hours=15) + grace
    assert check_in_deadline(once(NOON), seen=NOON, grace_seconds=300) is None


def test_waits_between_tries_grow_and_end_growing() -> None:
    assert [retry_seconds(attempt) for attempt in (1, 2, 3, 9)] == [10, 20, 40, 300]
    assert retry_seconds(10_000) == 300
