"""The rates of a key as headers."""

import pytest

from proxy.rules.rate_headers import RateLeft, duration, rate_headers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, b"0s"), (0.0001, b"1ms"), (0.25, b"250ms"), (1.5, b"1.5s"), (59.9995, b"1m0s"), (150, b"2m30s")],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


def test_only_rates_that_there_are_make_headers() -> None:
    assert rate_headers(None, None) == []
    assert dict(rate_headers(RateLeft(60, 59, 1.0), None)) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1s",
    }
