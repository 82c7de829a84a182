"""Looks after the jobs themselves: is anybody there who runs them?"""

from datetime import datetime, timedelta

from agenthub.core.events import AlertRaised, publish
from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import RunState

UNHEARD_AFTER = timedelta(minutes=2)
"""How long a run may be ready without a worker that begins it, besides the time its job may take."""


def jobs_watch(*, now: datetime) -> int:
    """Raise an alert for each job that is due, or has a run that is ready, for too long; how many there are."""
    behind = dict(Job.objects.filter(next_due__lt=now - UNHEARD_AFTER).values_list("key", "next_due")[:100])
    waiting = JobRun.objects.filter(state=RunState.SCHEDULED, ready_at__lt=now - UNHEARD_AFTER)
    for key, ready_at, longest in waiting.values_list("job__key", "ready_at", "job__max_run_seconds")[:1000]:
        # It may wait for a run before it, which has its time.
        if ready_at < now - UNHEARD_AFTER - timedelta(seconds=longest):
            behind.setdefault(key, ready_at)
    for key, since in behind.items():
        text = f"{key} should run since {since:%Y-%m-%d %H:%M:%S} UTC, and no worker does it."
        publish(AlertRaised(rule="job_missed", severity="critical", source=f"job:{key}", summary=text))
    return len(behind)
