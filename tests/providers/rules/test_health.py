"""How the condition of a backend follows from probes and live traffic."""

import pytest

from providers.rules.health import (
    Condition,
    Sign,
    after_probe,
    after_requests,
    probe_every_seconds,
    requests_fail,
    sign_of,
)
from providers.rules.table import HealthState

UNKNOWN, HEALTHY, DEGRADED, DOWN = HealthState


@pytest.mark.parametrize(
    ("status", "sign"),
    [
        (200, Sign.GOOD),
        (204, Sign.GOOD),
        (302, Sign.BAD),
        (401, Sign.CREDENTIALS),
        (403, Sign.CREDENTIALS),
        (402, Sign.ANSWERED),
        (404, Sign.ANSWERED),
        (405, Sign.ANSWERED),
        (429, Sign.ANSWERED),
        (500, Sign.BAD),
        (503, Sign.BAD),
        (None, Sign.BAD),
    ],
)
def test_what_the_status_of_a_probe_says(status: int | None, sign: Sign) -> None:
    assert sign_of(status) is sign


def test_three_failures_degrade_six_bring_down_and_one_success_resets() -> None:
    condition, walk = Condition(HEALTHY), []
    for _ in range(7):
        condition = after_probe(condition, Sign.BAD, requests_fail=False)
        walk.append(condition.state)
    assert walk == [HEALTHY, HEALTHY, DEGRADED, DEGRADED, DEGRADED, DOWN, DOWN]
    assert after_probe(condition, Sign.GOOD, requests_fail=False) == Condition(HEALTHY, 0)


@pytest.mark.parametrize(
    ("before", "after"), [(UNKNOWN, UNKNOWN), (HEALTHY, HEALTHY), (DEGRADED, UNKNOWN), (DOWN, UNKNOWN)]
)
@pytest.mark.parametrize("sign", [Sign.ANSWERED, Sign.CREDENTIALS])
def test_an_answer_that_says_nothing_of_health_ends_what_silence_had_shown(
    before: HealthState, after: HealthState, sign: Sign
) -> None:
    assert after_probe(Condition(before, 6), sign, requests_fail=False) == Condition(after, 0)


def test_a_good_probe_does_not_outweigh_requests_that_fail() -> None:
    assert after_probe(Condition(HEALTHY), Sign.GOOD, requests_fail=True) == Condition(DEGRADED)


@pytest.mark.parametrize(
    ("rate", "tries", "fail"), [(None, 0, False), (0.0, 4, False), (0.0, 5, True), (0.49, 100, True), (0.5, 5, False)]
)
def test_a_success_rate_counts_from_five_attempts_on(rate: float | None, tries: int, fail: bool) -> None:
    assert requests_fail(rate, tries) is fail


def test_requests_count_as_much_as_probes() -> None:
    assert after_requests(Condition(DOWN, 9), requests_fail=False, succeeded_since=True) == Condition(HEALTHY)
    assert after_requests(Condition(HEALTHY, 2), requests_fail=True, succeeded_since=False) == Condition(DEGRADED, 2)
    assert after_requests(Condition(HEALTHY), requests_fail=True, succeeded_since=True) == Condition(DEGRADED)
    assert after_requests(Condition(DOWN, 9), requests_fail=True, succeeded_since=False) == Condition(DOWN, 9)
    assert after_requests(Condition(DEGRADED, 3), requests_fail=False, succeeded_since=False) == Condition(DEGRADED, 3)


def test_what_is_down_is_probed_every_five_seconds() -> None:
    assert [probe_every_seconds(state, interval_seconds=60) for state in HealthState] == [60, 60, 60, 5]
    assert probe_every_seconds(DOWN, interval_seconds=2) == 2
