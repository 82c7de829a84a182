from datetime import timedelta
from decimal import Decimal

import pytest

from agenthub.overview.charts import Charts
from agenthub.overview.selectors import dashboard_figures, usage_series
from providers.services.usage import usage_record_batch
from tests.providers.usage_rows import NOON, usage_row

NOW = NOON + timedelta(minutes=10, seconds=30)


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"])
def ledger(request: pytest.FixtureRequest) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")


def write(*rows: object) -> None:
    usage_record_batch(rows=rows, segment_id="s", start=0, end=1)  # type: ignore[arg-type]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("span", "where"), [("1h", -10), ("24h", -1), ("7d", -1), ("30d", -1)])
def test_every_span_finds_the_requests_in_their_bucket(span: str, where: int) -> None:
    write(
        usage_row(started_at=NOON + timedelta(seconds=40)),
        usage_row(started_at=NOON + timedelta(seconds=45), latency_us=750_000, ttft_us=300_000),
        usage_row(started_at=NOON + timedelta(seconds=46), status=503, ttft_us=None, cost_usd=None, output_tokens=0),
    )

    series = usage_series(span, NOW + timedelta(seconds=-30))

    point = series[where - 1] if span == "1h" else series[where]
    assert (point["requests"], point["errors"]) == (3, 1)
    assert (point["prompt_tokens"], point["completion_tokens"]) == (30, 40)
    assert Decimal(str(point["cost_usd"])) == Decimal("0.00001")
    assert (point["latency_ms"], point["ttft_ms"]) == (500, 200)
    assert sum(each["requests"] for each in series) == 3


@pytest.mark.usefixtures("ledger")
def test_figures_of_an_empty_hub() -> None:
    figures = dashboard_figures(NOW)

    assert figures.total["total_requests"] == 0
    assert (figures.by_backend, figures.health, figures.cooldowns) == ({}, {}, ())


@pytest.mark.django_db
def test_charts_are_read_once_for_a_few_seconds() -> None:
    charts = Charts()
    before = charts.points_json("1h", NOW)
    write(usage_row(started_at=NOW - timedelta(minutes=1)))

    assert charts.points_json("1h", NOW + timedelta(seconds=1)) == before
    assert charts.points_json("1h", NOW + Charts.FRESH) != before
