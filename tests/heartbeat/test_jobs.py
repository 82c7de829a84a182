"""The built-in jobs."""

from datetime import timedelta

import pytest

from agenthub.core.clock import utc_now
from heartbeat import jobs
from providers.models import Backend
from providers.services.cooldowns import cooldown_start
from tests.factories import make_backend


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
    assert jobs.cooldowns_expire() == 1
    assert Backend.objects.get(id=backend.id).status == "healthy"


@pytest.mark.django_db
def test_there_may_be_nothing_to_prune() -> None:
    assert jobs.usage_prune() == 0
