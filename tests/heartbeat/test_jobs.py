"""The built-in jobs."""

from datetime import timedelta

import pytest

from agenthub.celery import app
from agenthub.core.clock import utc_now
from heartbeat import tasks
from heartbeat.jobs import JOBS, Job
from providers.models import Backend
from providers.services.cooldowns import cooldown_start
from tests.factories import make_backend


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_is_a_task_and_in_the_schedule(job: Job) -> None:
    app.loader.import_default_modules()
    assert job.task in app.tasks
    entry = app.conf.beat_schedule[job.name]
    assert (entry["task"], entry["schedule"]) == (job.task, job.every_seconds)


@pytest.mark.django_db
def test_a_cooldown_whose_time_has_passed_is_ended() -> None:
    backend, now = make_backend(), utc_now()
    cooldown_start(
        backend_id=backend.id,
        until=now - timedelta(seconds=1),
        started_at=now - timedelta(seconds=31),
        consecutive_count=1,
        reason="rate_limited",
        response_summary="",
    )
    assert Backend.objects.get(id=backend.id).status == "cooling"
    assert tasks.cooldowns_expire() == 1
    assert Backend.objects.get(id=backend.id).status == "healthy"


@pytest.mark.django_db
def test_there_may_be_nothing_to_prune() -> None:
    assert tasks.usage_prune() == 0
