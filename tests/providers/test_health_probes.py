"""The health loop against real servers: what it asks, how many at a time, and what becomes of a backend."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from agenthub.core.clock import utc_now
from agenthub.core.events import AlertRaised, AlertResolved, subscribe
from agenthub.core.settings_store import runtime_settings
from agenthub.core.side_by_side import as_finished
from providers import calls
from providers.models import Backend, BackendHealth
from providers.probes import backends_probe
from providers.rules.table import ErrorKind, HealthState
from providers.selectors import routing_pools
from providers.services.backends import backend_delete, backend_error, backend_recovered
from providers.services.health import backend_figures_refresh, backend_probed, backends_claim, health_expire
from providers.services.usage import usage_record_batch
from tests.factories import make_backend
from tests.providers.usage_rows import usage_row
from tests.upstream import Upstream, running_upstream

pytestmark = pytest.mark.django_db


def at(upstream: Upstream, name: str = "one", **values: Any) -> Backend:
    return make_backend(name, api_base_url=upstream.url, **values)


def state(backend: Backend) -> str:
    return BackendHealth.objects.get(backend=backend).state


class Clock:
    """Probes by a clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = utc_now()

    def probe(self, seconds: float = 0) -> int:
        self.now += timedelta(seconds=seconds)
        with patch("providers.probes.utc_now", lambda: self.now):
            return backends_probe(now=self.now)


@pytest.fixture
def told(django_capture_on_commit_callbacks: Any) -> Callable[[Callable[[], object]], list[tuple[str, str]]]:
    """Does something and says which alerts came of it."""

    def act(what: Callable[[], object]) -> list[tuple[str, str]]:
        heard: list[tuple[str, str]] = []
        ends = [
            subscribe(AlertRaised, lambda event: heard.append(("raised", event.rule))),
            subscribe(AlertResolved, lambda event: heard.append(("resolved", event.rule))),
        ]
        with django_capture_on_commit_callbacks(execute=True):
            what()
        for end in ends:
            end()
        return heard

    return act


def test_a_backend_walks_down_and_comes_back(upstream: Upstream, told: Any) -> None:
    backend, clock = at(upstream), Clock()
    assert clock.probe() == 1
    assert state(backend) == "healthy"
    assert clock.probe(59) == 0
    upstream.refuse(500)
    walk = []
    for _ in range(5):
        clock.probe(60)
        walk.append(state(backend))
    assert walk == ["healthy", "healthy", "degraded", "degraded", "degraded"]
    assert told(lambda: clock.probe(60)) == [("raised", "backend_down")]
    assert routing_pools()[0].backends[0].health is HealthState.DOWN
    assert clock.probe(4) == 0
    assert clock.probe(1) == 1  # down: every five seconds
    upstream.status = 200
    assert told(lambda: clock.probe(5)) == [("resolved", "backend_down")]
    health = BackendHealth.objects.get()
    assert (health.state, health.consecutive_failures, health.last_status_code) == ("healthy", 0, 200)


def test_no_answer_counts_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, clock = make_backend(), Clock()  # nobody listens there
    for _ in range(6):
        clock.probe(60)
    health = BackendHealth.objects.get(backend=backend)
    assert (health.state, health.consecutive_failures, health.last_status_code) == ("down", 6, None)


def test_a_path_that_is_not_there_is_no_failure(upstream: Upstream) -> None:
    backend, clock = at(upstream), Clock()
    upstream.refuse(404)
    for _ in range(7):
        clock.probe(60)
    health = BackendHealth.objects.get(backend=backend)
    assert (health.state, health.consecutive_failures, health.last_status_code) == ("unknown", 0, 404)
    assert len(upstream.seen) == 7  # and nothing was asked elsewhere


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_an_error_which_a_good_probe_ends(upstream: Upstream, told: Any, status: int) -> None:
    backend, clock = at(upstream), Clock()
    upstream.refuse(status)
    assert told(clock.probe) == [("raised", "backend_error")]
    assert Backend.objects.get().error_kind == ErrorKind.CREDENTIALS
    assert state(backend) == "unknown"
    assert told(lambda: clock.probe(60)) == []
    upstream.status = 200
    assert told(lambda: clock.probe(60)) == [("resolved", "backend_error")]
    assert Backend.objects.get().status == "healthy"


def test_a_probe_that_was_under_way_proves_nothing_against_an_error_found_meanwhile(upstream: Upstream) -> None:
    backend, clock = at(upstream), Clock()
    assert [each.id for each in backends_claim(now=clock.now, settings=runtime_settings())] == [backend.id]
    backend_error(backend_id=backend.id, kind=ErrorKind.CREDENTIALS, reason="401")
    outcome: dict[str, Any] = {"status_code": 200, "latency_ms": 1.0, "reason": "", "trial": False}
    backend_probed(backend_id=backend.id, now=utc_now(), **outcome)
    assert Backend.objects.get().error_kind == ErrorKind.CREDENTIALS
    clock.probe(120)
    assert Backend.objects.get().error_kind == ErrorKind.NONE


def test_probes_cost_nothing_also_where_a_quota_is_spent(upstream: Upstream) -> None:
    backend = at(upstream)
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    Clock().probe()
    assert [(each["method"], each["path"]) for each in upstream.seen] == [("GET", "/v1/models")]
    assert Backend.objects.get().error_kind == ErrorKind.QUOTA


def test_a_completion_is_sent_only_where_the_operator_has_chosen_it(upstream: Upstream) -> None:
    at(upstream, "billed", probe="completion")
    at(upstream, "never", probe="none")
    at(upstream, "off", enabled=False)
    at(upstream, "without models", probe="completion", models={})
    Clock().probe()
    assert [(each["method"], each["path"]) for each in upstream.seen] == [("POST", "/v1/chat/completions")]


def test_no_models_are_asked_for_where_probes_are_off(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_HEALTH_PROBE_ENDPOINT", "none")
    at(upstream)
    assert Clock().probe() == 0


def test_what_is_being_probed_is_not_probed_twice(upstream: Upstream) -> None:
    at(upstream)
    clock = Clock()
    assert [clock.probe(), clock.probe()] == [1, 0]


def test_the_interval_is_a_setting(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_HEALTH_CHECK_INTERVAL_SECONDS", "10")
    at(upstream)
    clock = Clock()
    assert [clock.probe(), clock.probe(9), clock.probe(1)] == [1, 0, 1]


def test_a_slow_backend_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_upstream() as slow, running_upstream() as quick:
        slow.hangs = True
        hanging, good = at(slow, "a slow one"), at(quick, "a quick one")
        noted = []

        def note(backend: Backend, *rest: Any) -> None:
            noted.append(backend.id)
            # The slow one is let go only once the quick one is noted.
            slow.let_go.set()

        with patch("providers.probes._probe_noted", note):
            assert Clock().probe() == 2
    assert noted == [good.id, hanging.id]


def test_a_backend_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    monkeypatch.setenv("AGENTHUB_HEALTH_CHECK_TIMEOUT_SECONDS", "0.2")
    upstream.hangs = True
    at(upstream)
    Clock().probe()
    health = BackendHealth.objects.get()
    assert (health.consecutive_failures, health.last_status_code) == (1, None)


def test_probes_run_at_the_same_time_up_to_a_bound() -> None:
    running: set[int] = set()
    most = []
    full = asyncio.Event()

    async def one(number: int) -> int:
        running.add(number)
        most.append(len(running))
        if len(running) == calls.MOST_AT_ONCE:
            full.set()
        # The first of them go on only when as many as may run at once do.
        await asyncio.wait_for(full.wait(), 10)
        running.discard(number)
        return number

    work = [partial(one, number) for number in range(2 * calls.MOST_AT_ONCE)]
    found = dict(as_finished(work, at_once=calls.MOST_AT_ONCE))
    assert found == {number: number for number in range(2 * calls.MOST_AT_ONCE)}
    assert max(most) == calls.MOST_AT_ONCE


def test_what_one_of_them_raises_is_raised() -> None:
    async def bad() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(as_finished([bad], at_once=1))


def test_old_health_is_unknown_and_not_bad(told: Any) -> None:
    backend, now = make_backend(), utc_now()
    BackendHealth.objects.create(backend=backend, state="down", last_check_at=now - timedelta(seconds=181))
    assert routing_pools()[0].backends[0].health is HealthState.UNKNOWN
    assert told(lambda: health_expire(now=now, settings=runtime_settings())) == [("resolved", "backend_down")]
    assert state(backend) == "unknown"


def requests(backend: Backend, ended_at: datetime, *outcomes: str) -> None:
    rows = [
        usage_row(
            started_at=ended_at,
            backend_id=backend.id,
            trail=((backend.id, outcome, 200 if outcome == "ok" else 500, 0, 5),),
        )
        for outcome in outcomes
    ]
    usage_record_batch(rows=rows, segment_id=f"s{ended_at.timestamp()}", start=0, end=1)


def test_failing_requests_degrade_what_answers_its_probes(upstream: Upstream) -> None:
    backend, clock = at(upstream), Clock()
    clock.probe()
    requests(backend, clock.now - timedelta(seconds=5), "failed", "failed", "failed", "failed", "ok")
    backend_figures_refresh(now=clock.now)
    assert state(backend) == "degraded"
    clock.probe(60)
    assert state(backend) == "degraded"
    requests(backend, clock.now + timedelta(seconds=5), *["ok"] * 10)
    backend_figures_refresh(now=clock.now + timedelta(seconds=30))
    assert state(backend) == "healthy"


def test_requests_tell_of_a_backend_that_is_not_probed() -> None:
    backend, now = make_backend(probe="none"), utc_now()
    requests(backend, now - timedelta(seconds=5), "ok")
    backend_figures_refresh(now=now)
    assert state(backend) == "healthy"
    assert routing_pools()[0].backends[0].health is HealthState.HEALTHY


def test_a_trial_request_that_succeeds_ends_being_down(told: Any) -> None:
    backend = make_backend()
    BackendHealth.objects.create(backend=backend, state="down", consecutive_failures=9, last_check_at=utc_now())
    assert told(lambda: backend_recovered(backend.id)) == [("resolved", "backend_down")]
    assert state(backend) == "healthy"
    assert not backend_recovered(backend.id)


def test_the_alerts_of_a_backend_end_with_it(told: Any) -> None:
    backend = make_backend()
    resolved = {rule for what, rule in told(lambda: backend_delete(backend.id)) if what == "resolved"}
    assert resolved == {"backend_down", "backend_error"}
