from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from prometheus_client import REGISTRY

from agenthub.core.clock import epoch_seconds
from heartbeat import checks, jobs, local
from heartbeat.models import Alert, Component
from heartbeat.services.components import component_beat, component_register
from providers import probes
from providers.services import health


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.django_db
def test_figures_are_refreshed_once_in_their_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed: list[object] = []
    monkeypatch.setenv("AGENTHUB_STATS_REFRESH_INTERVAL_SECONDS", "3600")
    monkeypatch.setattr(health, "backend_figures_refresh", lambda *, now: refreshed.append(now))

    jobs.backend_figures_refresh()
    jobs.backend_figures_refresh()
    assert len(refreshed) == 1

    cache.clear()  # the interval has passed
    jobs.backend_figures_refresh()
    assert len(refreshed) == 2


@pytest.mark.django_db
def test_the_sweep_tells_of_what_it_has_found() -> None:
    component_register(name="own", values={})
    component_beat(name="own", now=epoch_seconds() - 100)
    assert jobs.components_sweep() == 1
    assert Alert.objects.get().source == "component:own"

    def gauge(status: str) -> float | None:
        return REGISTRY.get_sample_value("agenthub_component_status", {"component": "own", "status": status})

    assert (gauge("error"), gauge("healthy")) == (1, 0)
    component_beat(name="own")
    jobs.components_sweep()
    assert (gauge("error"), gauge("healthy")) == (0, 1)
    assert Alert.objects.get().state == "resolved"
    Component.objects.all().delete()
    jobs.components_sweep()
    assert (gauge("error"), gauge("healthy")) == (0, 0)


@pytest.mark.parametrize(
    ("task", "module", "work"),
    [(local.components_check, checks, "components_check"), (jobs.backends_probe, probes, "backends_probe")],
)
def test_passes_that_wait_do_not_take_all_threads(
    monkeypatch: pytest.MonkeyPatch, task: Any, module: Any, work: str
) -> None:
    begun: list[int] = []

    def again(**_: object) -> int:
        begun.append(1)
        return int(task()) + 1  # the next tick comes while this one is still at work

    monkeypatch.setattr(module, work, again)
    assert task() == len(begun) <= 2
    assert task() == len(begun) / 2


@pytest.mark.django_db
def test_there_may_be_no_component_to_forget() -> None:
    assert jobs.components_prune() == 0
