from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from agenthub.core.clock import utc_now
from providers.models import DailyStats, HourlyUsage
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def hour_row(hours_ago: int = 0, *, backend_id: str = "bkd_a", client_key_id: str = "", priced: bool = True) -> None:
    hour = utc_now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    HourlyUsage.objects.create(
        hour=hour,
        backend_id=backend_id,
        model="small",
        client_key_id=client_key_id,
        input_tokens=10,
        cache_read_tokens=5,
        output_tokens=20,
        reasoning_tokens=1,
        request_count=4,
        error_count=1,
        cost_usd=Decimal("0.000002") if priced else None,
        latency_us_sum=600_000,
        latency_count=3,
        ttft_us_sum=100_000,
        ttft_count=2,
    )


def test_hours_are_summed_over_client_keys_newest_first(management: Management) -> None:
    hour_row(1, client_key_id="key_a")
    hour_row(1, client_key_id="key_b")
    hour_row(0, priced=False)
    newest, older = management.good("GET", "stats/hourly")
    assert newest["hour_bucket"] > older["hour_bucket"]
    assert newest["cost"] is None
    assert (older["request_count"], older["error_count"], older["cost"]) == (8, 2, "0.000004")
    assert (older["prompt_tokens"], older["completion_tokens"], older["total_tokens"]) == (30, 42, 72)
    assert (older["avg_latency_ms"], older["ttft_ms"]) == (200, 50)
    assert older["id"].startswith("use_")


def test_hours_are_cut_by_time_and_backend(management: Management) -> None:
    hour_row(0)
    hour_row(2)
    hour_row(2, backend_id="bkd_b")
    hour_row(200)
    assert len(management.good("GET", "stats/hourly")) == 3
    assert len(management.good("GET", "stats/hourly?hours=2")) == 1
    assert len(management.good("GET", "stats/hourly?backend_id=bkd_b")) == 1
    assert management.ask("GET", "stats/hourly?limit=1")["X-Total-Count"] == "3"


def test_days_and_the_total(management: Management) -> None:
    today = utc_now().date()
    for days_ago, cost in ((0, Decimal("0.5")), (1, None), (40, Decimal("0.25"))):
        DailyStats.objects.create(
            date=today - timedelta(days=days_ago),
            pool="primary",
            request_count=3,
            error_count=1,
            input_tokens=10,
            output_tokens=5,
            cost_usd=cost,
            unique_backends=2,
        )
    first, second = management.good("GET", "stats/daily")
    assert (first["date"], first["total_cost"]) == (today.isoformat(), "0.5")
    assert (second["total_cost"], second["total_tokens"], second["unique_backends"]) == (None, 15, 2)
    assert management.good("GET", "stats/total") == {
        "total_requests": 9,
        "total_errors": 3,
        "total_tokens": 45,
        "total_prompt_tokens": 30,
        "total_completion_tokens": 15,
        "total_cost": "0.75",
    }


def test_an_unused_hub_has_used_nothing(management: Management) -> None:
    assert management.good("GET", "stats/total")["total_cost"] == "0"
    assert management.good("GET", "stats/hourly") == management.good("GET", "stats/daily") == []


@pytest.mark.parametrize("query", ["hourly?hours=0", "hourly?hours=-1", "daily?days=x", "cooldown?limit=0"])
def test_a_wrong_number_is_named(management: Management, query: str) -> None:
    name = query.split("?")[1].split("=", maxsplit=1)[0]
    assert management.error(400, "GET", f"stats/{query}")["param"] == name
