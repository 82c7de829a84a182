"""Outside jobs that check in: each call is a run, and its silence is an alert."""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from django.db import transaction

from agenthub.core.events import AlertRaised, publish
from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import JobKind, RunState, tail
from heartbeat.rules.schedule import check_in_deadline
from heartbeat.services.runs import Ended, alerts_end


class Signal(StrEnum):
    """What an outside job says."""

    OK = "ok"
    START = "start"
    FAIL = "fail"
    LOG = "log"


@transaction.atomic
def check_in(*, ping_id: UUID, signal: Signal, now: datetime, output: str = "", error: str = "") -> bool:
    """Note what an outside job says of itself; False if nobody has this id. One that is stopped is heard, not awaited.

    A start opens a run, which the next ok or fail ends; those without a start are a run by themselves.
    """
    job = Job.objects.select_for_update().filter(ping_id=ping_id, kind=JobKind.CHECK_IN).first()
    if job is None:
        return False
    begun = JobRun.objects.filter(job=job, state=RunState.RUNNING).order_by("-scheduled_for").first()
    if signal is Signal.LOG:
        _log(job, begun, now, output)
    elif signal is Signal.START:
        _start(job, begun, now, output)
    else:
        state = RunState.OK if signal is Signal.OK else RunState.FAILED
        _end(job, begun, now, Ended(state, output, error))
    return True


def _log(job: Job, begun: JobRun | None, now: datetime, output: str) -> None:
    if begun is not None:
        JobRun.objects.filter(id=begun.pk).update(output=tail(begun.output + output))
    else:
        _write(job, now, RunState.OK, output, "")


def _start(job: Job, begun: JobRun | None, now: datetime, output: str) -> None:
    if begun is not None:
        JobRun.objects.filter(id=begun.pk).update(
            state=RunState.FAILED, ended_at=now, error="It began anew without having ended."
        )
    _write(job, now, RunState.RUNNING, output, "")
    # From its start on it has the grace to end.
    _await(job, now + timedelta(seconds=job.grace_seconds), now)


def _end(job: Job, begun: JobRun | None, now: datetime, ended: Ended) -> None:
    if begun is not None:
        output = tail(begun.output + ended.output)
        JobRun.objects.filter(id=begun.pk).update(state=ended.state, ended_at=now, output=output, error=ended.error)
    else:
        _write(job, now, ended.state, ended.output, ended.error)
    _await(job, check_in_deadline(job.timing, seen=now, grace_seconds=job.grace_seconds), now)
    source = f"job:{job.key}"
    if ended.state is RunState.OK:
        transaction.on_commit(partial(alerts_end, source))
    else:
        summary = f"{job.key}: {ended.error}"
        failed = AlertRaised(rule="job_failed", severity="warning", source=source, summary=summary)
        transaction.on_commit(partial(publish, failed))


def _write(job: Job, now: datetime, state: RunState, output: str, error: str) -> None:
    at = now
    # Two calls in one microsecond are two runs.
    while JobRun.objects.filter(job=job, scheduled_for=at).exists():
        at += timedelta(microseconds=1)
    JobRun.objects.create(
        job=job,
        scheduled_for=at,
        ready_at=at,
        state=state,
        attempt=1,
        started_at=now,
        ended_at=None if state is RunState.RUNNING else now,
        output=tail(output),
        error=error,
    )


def _await(job: Job, deadline: datetime | None, now: datetime) -> None:
    awaited = deadline if job.enabled else None
    Job.objects.filter(id=job.pk).update(next_due=awaited, last_seen=now, late=False)
