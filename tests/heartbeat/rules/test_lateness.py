"""When a component counts as late, and how all of them together are."""

import pytest

from heartbeat.rules.lateness import ComponentStatus, Overall, expired, overall

NEW, HEALTHY, LATE, ERROR, UNKNOWN, PAUSED = ComponentStatus


@pytest.mark.parametrize(
    ("status", "age", "now"),
    [
        (HEALTHY, 0, HEALTHY),
        (HEALTHY, 15, HEALTHY),
        (HEALTHY, 30, HEALTHY),  # exactly on time
        (HEALTHY, 30.1, LATE),
        (HEALTHY, 60, LATE),
        (HEALTHY, 60.1, ERROR),
        (LATE, 61, ERROR),
        (NEW, 29, NEW),
        (NEW, 61, ERROR),
        (UNKNOWN, 61, ERROR),
        (ERROR, 0, ERROR),
        (PAUSED, 10_000, PAUSED),
        (HEALTHY, -5, HEALTHY),  # somebody has set the clock back
    ],
)
def test_a_component_by_the_clock(status: ComponentStatus, age: float, now: ComponentStatus) -> None:
    assert expired(status, age_seconds=age, interval_seconds=30, stale_factor=2) is now


def test_the_stale_factor_says_when_late_becomes_error() -> None:
    assert expired(HEALTHY, age_seconds=299, interval_seconds=30, stale_factor=10) is LATE
    assert expired(HEALTHY, age_seconds=31, interval_seconds=30, stale_factor=1) is ERROR


@pytest.mark.parametrize(
    ("statuses", "together"),
    [
        ([], Overall.UNKNOWN),
        ([PAUSED], Overall.UNKNOWN),
        ([HEALTHY, PAUSED], Overall.HEALTHY),
        ([HEALTHY, NEW], Overall.UNKNOWN),
        ([HEALTHY, UNKNOWN], Overall.UNKNOWN),
        ([HEALTHY, UNKNOWN, LATE], Overall.DEGRADED),
        ([LATE, UNKNOWN, ERROR, HEALTHY], Overall.ERROR),
    ],
)
def test_all_together(statuses: list[ComponentStatus], together: Overall) -> None:
    assert overall(statuses) is together
