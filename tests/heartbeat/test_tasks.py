from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.utils.module_loading import import_string

from heartbeat import tasks
from heartbeat.jobs import JOBS
from providers.services import health


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_names_a_task(job: object) -> None:
    assert import_string(job.task).name == job.task  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_figures_are_refreshed_once_in_their_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed: list[object] = []
    monkeypatch.setenv("AGENTHUB_STATS_REFRESH_INTERVAL_SECONDS", "3600")
    monkeypatch.setattr(health, "backend_figures_refresh", lambda *, now: refreshed.append(now))

    tasks.backend_figures_refresh()
    tasks.backend_figures_refresh()
    assert len(refreshed) == 1

    cache.clear()  # the interval has passed
    tasks.backend_figures_refresh()
    assert len(refreshed) == 2
