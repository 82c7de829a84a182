from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest

from providers.live_selectors import ERRORS, Percentiles, live_usage, live_usage_by_backend
from providers.models import UsageRecord
from providers.rules.usage import is_error
from providers.services.usage import usage_record_batch
from tests.providers.usage_rows import NOON, usage_row


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"], autouse=True)
def ledger(request: pytest.FixtureRequest) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")


def write(*rows: object) -> None:
    usage_record_batch(rows=rows, segment_id="s", start=0, end=1)  # type: ignore[arg-type]


def test_without_requests_there_is_nothing_to_say() -> None:
    live = live_usage(NOON)

    assert (live.requests_per_minute, live.error_rate, live.cost_today_usd) == (0, None, None)
    assert live.latency_ms == live.ttft_ms == Percentiles(None, None, None)


def test_the_figures_of_the_last_minute() -> None:
    recent = NOON - timedelta(seconds=30)
    write(
        *[usage_row(started_at=recent, latency_us=number * 1000, ttft_us=number * 100) for number in range(1, 101)],
        usage_row(started_at=recent, status=503, latency_us=10**7, ttft_us=None, backend_id=""),
        usage_row(started_at=recent, status=499, latency_us=10**7, ttft_us=None, backend_id="bkd_b"),
        usage_row(started_at=NOON - timedelta(seconds=90)),
    )

    live = live_usage(NOON)

    assert (live.requests_per_minute, live.errors_per_minute, live.error_rate) == (102, 1, 1 / 102)
    assert live.tokens_per_minute == 102 * 30
    assert live.latency_ms == Percentiles(50.0, 95.0, 99.0)
    assert live.ttft_ms == Percentiles(5.0, 9.5, 9.9)
    assert live.cost_today_usd == 103 * Decimal("0.000005")
    assert live_usage_by_backend(NOON) == {
        "bkd_a": {"requests": 100, "errors": 0, "tokens": 3000},
        "bkd_b": {"requests": 1, "errors": 0, "tokens": 30},
    }


def test_a_long_request_counts_in_the_minute_of_its_end() -> None:
    write(usage_row(started_at=NOON - timedelta(minutes=10), latency_us=595 * 10**6))

    assert live_usage(NOON).requests_per_minute == 1


def test_the_condition_of_errors_is_the_rule_of_errors() -> None:
    cases = list(
        product([0, 200, 399, 400, 429, 498, 499, 500, 503], ["", "client_gone", "stream_broken", "interrupted"])
    )
    write(*[usage_row(f"{status} {kind}", status=status, error_type=kind) for status, kind in cases])

    errors = set(UsageRecord.objects.filter(ERRORS).values_list("id", flat=True))

    assert errors == {f"{status} {kind}" for status, kind in cases if is_error(status, kind)}
