from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.usage import UsageRow, hourly_model, is_error, sums_of
from tests.providers.usage_rows import usage_row

costs = st.none() | st.integers(0, 10**12)
rows = st.lists(
    st.builds(
        usage_row,
        cost_usd=costs,
        status=st.sampled_from([0, 200, 400, 429, 499, 503]),
        output_tokens=st.integers(0, 5),
        input_tokens=st.integers(0, 5),
        ttft_us=st.none() | st.integers(0, 10**6),
    ),
    max_size=6,
)


@pytest.mark.parametrize(
    ("status", "error_type", "error"),
    [
        (200, "", False),
        (400, "client_error", True),
        (429, "rate_limit_exceeded", True),
        (499, "client_gone", False),
        (503, "all_pools_exhausted", True),
        (200, "stream_broken", True),
        (200, "content_filter", False),
        (0, "interrupted", True),
    ],
)
def test_what_counts_as_an_error(status: int, error_type: str, error: bool) -> None:
    assert is_error(status, error_type) is error


@given(rows, rows)
def test_the_sums_of_two_batches_are_those_of_both_together(one: list[UsageRow], other: list[UsageRow]) -> None:
    first, second, together = sums_of(one), sums_of(other), sums_of(one + other)

    for name in together._fields:
        parts = [getattr(first, name), getattr(second, name)]
        known = [part for part in parts if part is not None]
        assert getattr(together, name) == (sum(known) if known else None)


def test_the_cost_of_unpriced_requests_is_unknown_and_not_zero() -> None:
    unpriced = usage_row(cost_usd=None)

    assert sums_of([unpriced]).cost_usd is None
    assert sums_of([unpriced, usage_row(cost_usd=7), unpriced]).cost_usd == 7
    assert sums_of([unpriced, usage_row(cost_usd=0), unpriced])[7:9] == (0, 2)


def test_a_refusal_without_tokens_is_not_unpriced() -> None:
    refusal = usage_row(cost_usd=None, input_tokens=0, output_tokens=0, status=404)

    assert sums_of([refusal]).unpriced_count == 0


def test_latency_is_summed_of_requests_that_ended_well() -> None:
    sums = sums_of(
        [
            usage_row(latency_us=100),
            usage_row(latency_us=300),
            usage_row(latency_us=7, status=503),
            usage_row(latency_us=7, status=499),
        ]
    )

    assert (sums.latency_us_sum, sums.latency_count) == (400, 2)


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "small"),
        ({"status": 404, "error_type": "model_not_found", "backend_id": ""}, ""),
        ({"status": 503, "backend_id": ""}, "small"),
        ({"status": 499, "backend_id": ""}, "small"),
        ({"status": 0, "error_type": "interrupted", "backend_id": ""}, "small"),
        ({"status": 400}, "small"),
    ],
)
def test_a_name_that_only_a_caller_knows_makes_no_row_of_its_own(fields: dict[str, Any], model: str) -> None:
    assert hourly_model(usage_row(**fields)) == model
