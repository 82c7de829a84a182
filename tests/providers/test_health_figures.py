from datetime import timedelta

import pytest

from providers.models import Backend, BackendHealth, Pool
from providers.rules.health import LiveFigures, Try, live_figures, verdict
from providers.services.health import backend_figures_refresh
from providers.services.usage import usage_record_batch
from tests.providers.usage_rows import NOON, usage_row


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        ("ok", 200, True),
        ("rate_limited", 429, False),
        ("failed", 503, False),
        ("connect_timeout", 0, False),
        ("first_token_timeout", 200, False),
        ("credentials", 401, False),
        ("callers_own", 400, None),
        ("callers_own", 422, None),
        ("content_filter", 200, None),
        ("cancelled", 0, None),
        ("client_stalled", 200, None),
    ],
)
def test_what_an_attempt_says_of_its_backend(outcome: str, status: int, said: bool | None) -> None:
    assert verdict(outcome, status) is said


def test_the_figures_of_a_backend_are_those_of_its_attempts() -> None:
    tries = [
        Try("a", "ok", 200, 100, 1.0),
        Try("a", "rate_limited", 429, 3, 2.0),
        Try("b", "connect_timeout", 0, 5_000, 3.0),
        Try("a", "cancelled", 0, 9, 4.0),
        Try("c", "cancelled", 0, 9),
    ]

    assert live_figures(tries) == {
        "a": LiveFigures(0.5, 100, 429, tries=2, last_success_at=1.0, last_said_at=2.0),
        "b": LiveFigures(0.0, None, None, tries=1, last_said_at=3.0),
        "c": LiveFigures(None, None, None),
    }


@pytest.fixture
def backends(db: None) -> None:
    pool, _ = Pool.objects.get_or_create(name="primary")
    for name in "ab":
        Backend.objects.create(id=f"bkd_{name}", name=name, api_base_url="http://127.0.0.1/v1", pool=pool)


@pytest.mark.usefixtures("backends")
def test_the_figures_of_the_last_five_minutes_are_stored() -> None:
    failover = (("bkd_a", "rate_limited", 429, 0, 5), ("bkd_b", "ok", 200, 5, 70))
    rows = [
        usage_row(started_at=NOON - timedelta(minutes=6), trail=(("bkd_a", "failed", 500, 0, 9),)),
        usage_row(started_at=NOON - timedelta(minutes=2), trail=(("bkd_a", "ok", 200, 0, 30),)),
        usage_row(started_at=NOON - timedelta(minutes=1), backend_id="bkd_b", attempts=2, trail=failover),
    ]
    usage_record_batch(rows=rows, segment_id="s", start=0, end=1)

    assert backend_figures_refresh(now=NOON) == 2

    first, second = BackendHealth.objects.order_by("backend_id")
    assert (first.success_rate_5m, first.last_latency_ms, first.last_status_code) == (0.5, 30, 429)
    assert (second.success_rate_5m, second.last_latency_ms, second.last_status_code) == (1.0, 70, 200)
    assert backend_figures_refresh(now=NOON) == 0


@pytest.mark.usefixtures("backends")
def test_without_requests_the_rate_becomes_unknown_and_the_state_stays() -> None:
    BackendHealth.objects.create(backend_id="bkd_a", state="down", success_rate_5m=0.2, tries_5m=5, last_latency_ms=7)

    assert backend_figures_refresh(now=NOON) == 1

    health = BackendHealth.objects.get()
    assert (health.state, health.success_rate_5m, health.last_latency_ms) == ("down", None, 7)
