"""How long a backend is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.cooldown import cooldown_seconds, failure_cooldown_seconds, failures_cool


@pytest.mark.parametrize(
    ("count", "given_seconds", "seconds"),
    [
        (1, None, 30),
        (2, None, 60),
        (3, None, 120),
        (6, None, 600),
        (5000, None, 600),
        (1, 7, 7),  # the first 429 with a time: that time alone
        (2, 7, 30),  # the second: the backoff of the first, if that is later
        (2, 90, 90),
        (1, 0, 0),
        (1, 7200, 3600),  # honoured up to one hour
    ],
)
def test_it_grows_by_itself_and_honours_what_the_upstream_gave(
    count: int, given_seconds: float | None, seconds: float
) -> None:
    assert cooldown_seconds(count, base=30, cap=600, given=given_seconds) == seconds


def test_without_the_exponential_it_grows_by_the_base() -> None:
    assert [cooldown_seconds(n, base=30, cap=100, exponential=False) for n in (1, 2, 3, 4)] == [30, 60, 90, 100]


@given(
    count=st.integers(1, 10_000),
    base=st.floats(0.1, 100),
    cap=st.floats(0.1, 10_000),
    given_seconds=st.none() | st.floats(0, 1e9),
    jitter=st.floats(0, 1),
)
def test_jitter_only_ever_adds_a_tenth(
    count: int, base: float, cap: float, given_seconds: float | None, jitter: float
) -> None:
    plain = cooldown_seconds(count, base=base, cap=cap, given=given_seconds)
    assert (
        plain <= cooldown_seconds(count, base=base, cap=cap, given=given_seconds, jitter=jitter) <= plain * 1.1 + 1e-9
    )


def test_failures_cool_for_five_seconds_up_to_fifteen() -> None:
    assert [failure_cooldown_seconds(previous) for previous in (0, 1, 2, 50)] == [5, 10, 15, 15]


@pytest.mark.parametrize(
    ("in_a_row", "requests", "successes", "cools"),
    [
        (3, 3, 0, True),
        (2, 2, 0, False),
        (1, 5, 2, True),
        (1, 4, 0, False),  # too few to judge by
        (1, 10, 5, False),  # half is enough
    ],
)
def test_the_window_rule(in_a_row: int, requests: int, successes: int, cools: bool) -> None:
    assert failures_cool(in_a_row=in_a_row, requests=requests, successes=successes) is cools
