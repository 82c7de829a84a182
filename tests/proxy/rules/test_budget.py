from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.timezones import time_zone
from proxy.rules.budget import SINCE_EVER, next_period_start, period_start
from proxy.rules.caller import Period

RECURRING = [Period.DAY, Period.WEEK, Period.MONTH]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "following"),
    [
        (Period.DAY, "UTC", "2026-03-10T12:34", "2026-03-10T00:00", "2026-03-11T00:00"),
        (Period.WEEK, "UTC", "2026-03-10T12:34", "2026-03-09T00:00", "2026-03-16T00:00"),
        (Period.MONTH, "UTC", "2026-03-10T12:34", "2026-03-01T00:00", "2026-04-01T00:00"),
        # The first and the last instant.
        (Period.DAY, "UTC", "2026-03-10T00:00", "2026-03-10T00:00", "2026-03-11T00:00"),
        (Period.DAY, "UTC", "2026-03-10T23:59:59.999999", "2026-03-10T00:00", "2026-03-11T00:00"),
        (Period.WEEK, "UTC", "2026-03-09T00:00", "2026-03-09T00:00", "2026-03-16T00:00"),
        (Period.WEEK, "UTC", "2026-03-08T23:59", "2026-03-02T00:00", "2026-03-09T00:00"),
        # Ends of years, and a leap day.
        (Period.MONTH, "UTC", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Period.WEEK, "UTC", "2027-01-01T10:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        (Period.MONTH, "UTC", "2028-02-29T10:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        # It is another day there already.
        (Period.DAY, "Asia/Tokyo", "2026-12-31T15:00", "2026-12-31T15:00", "2027-01-01T15:00"),
        (Period.MONTH, "Asia/Tokyo", "2026-12-31T15:00", "2026-12-31T15:00", "2027-01-31T15:00"),
        (Period.MONTH, "America/New_York", "2027-01-01T04:59", "2026-12-01T05:00", "2027-01-01T05:00"),
        # Clocks go forward: a day of 23 hours, a week and a month with one.
        (Period.DAY, "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        (Period.WEEK, "Europe/Berlin", "2026-03-29T12:00", "2026-03-22T23:00", "2026-03-29T22:00"),
        (Period.MONTH, "Europe/Berlin", "2026-03-30T12:00", "2026-02-28T23:00", "2026-03-31T22:00"),
        # They go back: a day of 25 hours.
        (Period.DAY, "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        (Period.MONTH, "Europe/Berlin", "2026-10-25T12:00", "2026-09-30T22:00", "2026-10-31T23:00"),
        # Where they go forward at midnight, which is then not there; and back, so that it is there twice.
        (Period.DAY, "Asia/Beirut", "2026-03-29T10:00", "2026-03-28T22:00", "2026-03-29T21:00"),
        (Period.DAY, "America/Havana", "2026-11-01T04:30", "2026-11-01T04:00", "2026-11-02T05:00"),
        (Period.DAY, "America/Havana", "2026-11-01T05:30", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Midnight is at half past of UTC: the hour in which it falls belongs to the new day.
        (Period.DAY, "Asia/Kolkata", "2026-03-10T12:00", "2026-03-09T18:00", "2026-03-10T18:00"),
        (Period.DAY, "Asia/Kolkata", "2026-03-10T17:59", "2026-03-09T18:00", "2026-03-10T18:00"),
        (Period.DAY, "Asia/Kolkata", "2026-03-10T18:10", "2026-03-10T18:00", "2026-03-11T18:00"),
        (Period.DAY, "Asia/Kolkata", "2026-03-10T18:40", "2026-03-10T18:00", "2026-03-11T18:00"),
        (Period.MONTH, "Asia/Kathmandu", "2026-12-31T18:10", "2026-12-31T18:00", "2027-01-31T18:00"),
        # Half an hour of summer time.
        (Period.DAY, "Australia/Lord_Howe", "2026-10-04T00:00", "2026-10-03T13:00", "2026-10-04T13:00"),
        # A day that was left out: the island went from the 29th to the 31st.
        (Period.DAY, "Pacific/Apia", "2011-12-30T11:00", "2011-12-30T10:00", "2011-12-31T10:00"),
    ],
)
def test_periods_by_their_time_zone(period: Period, zone: str, now: str, start: str, following: str) -> None:
    where = time_zone(zone)
    assert period_start(period, now=at(now), time_zone=where) == at(start)
    assert next_period_start(period, now=at(now), time_zone=where) == at(following)


def test_a_total_budget_has_always_run_and_never_ends() -> None:
    assert period_start(Period.TOTAL, now=at("2026-03-10T12:34"), time_zone=UTC) == SINCE_EVER
    assert at("0001-01-02") > SINCE_EVER
    assert next_period_start(Period.TOTAL, now=at("2026-03-10T12:34"), time_zone=UTC) is None


ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Beirut",
]


@given(
    st.sampled_from(RECURRING),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_every_instant_is_in_one_period_of_whole_hours(period: Period, zone: str, now: datetime) -> None:
    where = time_zone(zone)
    start = period_start(period, now=now, time_zone=where)
    following = next_period_start(period, now=now, time_zone=where)
    assert following is not None
    assert start <= now < following
    for edge in (start, following):
        assert (edge.utcoffset(), edge.minute, edge.second, edge.microsecond) == (timedelta(0), 0, 0, 0)
    assert period_start(period, now=following, time_zone=where) == following
    before = following - timedelta(microseconds=1)
    assert period_start(period, now=before, time_zone=where) == start
