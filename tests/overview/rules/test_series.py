from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from agenthub.overview.rules.series import SPANS, Sums, points

NOW = datetime(2025, 11, 21, 12, 34, 56, 789, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("1h", datetime(2025, 11, 21, 11, 35, tzinfo=UTC), datetime(2025, 11, 21, 12, 34, tzinfo=UTC), 60),
        ("24h", datetime(2025, 11, 20, 13, tzinfo=UTC), datetime(2025, 11, 21, 12, tzinfo=UTC), 24),
        ("7d", datetime(2025, 11, 14, 13, tzinfo=UTC), datetime(2025, 11, 21, 12, tzinfo=UTC), 168),
        ("30d", datetime(2025, 10, 23, tzinfo=UTC), datetime(2025, 11, 21, tzinfo=UTC), 30),
    ],
)
def test_buckets_end_with_the_running_one(name: str, first: datetime, last: datetime, count: int) -> None:
    starts = SPANS[name].starts(NOW)

    assert (starts[0], starts[-1], len(starts)) == (first, last, count)
    assert {after - before for before, after in pairwise(starts)} == {SPANS[name].bucket}


def test_every_bucket_has_a_point_and_means_are_of_what_was_measured() -> None:
    start = NOW.replace(second=0, microsecond=0)
    sums = Sums(requests=3, errors=1, cost=Decimal("0.50"), latency_us_total=5000, latencies=2)

    empty, full = points([start - timedelta(minutes=1), start], {start: sums})

    assert (empty["requests"], empty["cost_usd"], empty["latency_ms"]) == (0, None, None)
    assert (full["requests"], full["errors"], full["cost_usd"]) == (3, 1, "0.5")
    assert (full["latency_ms"], full["ttft_ms"]) == (2.5, None)
