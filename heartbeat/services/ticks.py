"""What schedulers do each second. Any number of them may do it at once; the unique pair of job and tick decides."""

from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q

from agenthub.core.events import AlertRaised, publish
from agenthub.core.retries import retried
from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import OPEN, JobKind, RunState
from heartbeat.rules.schedule import Misfire, Overlap, due, jitter_seconds

MOST_JOBS, MOST_RUNS = 1_000, 500
"""What one tick takes in of jobs that are due and of runs that wait; the next one comes a second later."""

WAKE_AGAIN = timedelta(seconds=5)
"""A message may get lost, or find all workers busy: then it is sent again."""


def jobs_tick(*, now: datetime) -> int:
    """Write down the runs that have become due; how many jobs had some."""
    due_ids = list(Job.objects.filter(next_due__lte=now).order_by("next_due").values_list("id", flat=True)[:MOST_JOBS])
    return sum(retried(partial(_job_tick, job_id, now)) for job_id in due_ids)


@transaction.atomic
def _job_tick(job_id: int, now: datetime) -> bool:
    # One that another scheduler looks at is left to it. A scheduler that has slept sees here what has changed since.
    job = Job.objects.select_for_update(skip_locked=True).filter(id=job_id, next_due__lte=now).first()
    if job is None or job.next_due is None:
        return False
    if job.kind == JobKind.CHECK_IN:
        return _check_in_is_late(job, job.next_due, now)
    found = due(
        job.timing,
        due_at=job.next_due,
        now=now,
        misfire=Misfire(job.misfire),
        grace_seconds=job.grace_seconds,
    )
    _write_missed(job, found.missed, now, more=found.more_missed)
    _write_due(job, found.run, now)
    Job.objects.filter(id=job.pk).update(next_due=found.next_due)
    return True


def _write_missed(job: Job, missed: tuple[datetime, ...], now: datetime, *, more: bool) -> None:
    if not missed:
        return
    text = "Nobody was there in time to run it."
    rows = [_run(job, tick, RunState.MISSED, ended_at=now, error=text) for tick in missed]
    if more:
        rows[0].error = f"{text} Ticks before it were missed too."
    JobRun.objects.bulk_create(rows, ignore_conflicts=True)
    _alert(job, "job_missed", f"{len(rows)}{' or more' if more else ''} runs of {job.key} were missed.")


def _write_due(job: Job, run: tuple[datetime, ...], now: datetime) -> None:
    if not run:
        return
    skipped: tuple[datetime, ...] = ()
    why = "The next tick was due already."
    if job.overlap == Overlap.FORBID and JobRun.objects.filter(job=job, state__in=OPEN).exists():
        skipped, run, why = run, (), "The run before was not over."
    elif job.overlap == Overlap.REPLACE:
        skipped, run = run[:-1], run[-1:]
        _replace(job, now)
    elif job.overlap == Overlap.FORBID and job.misfire != Misfire.ALL:
        skipped, run = run[:-1], run[-1:]
    rows = [_run(job, tick, RunState.SKIPPED, ended_at=now, error=why) for tick in skipped]
    JobRun.objects.bulk_create([*rows, *(_run(job, tick, RunState.SCHEDULED) for tick in run)], ignore_conflicts=True)


def _replace(job: Job, now: datetime) -> None:
    JobRun.objects.filter(job=job, state=RunState.RUNNING).update(stop_asked=True)
    waiting = JobRun.objects.filter(job=job, state=RunState.SCHEDULED)
    waiting.update(state=RunState.SKIPPED, ended_at=now, error="The next run took its place.")


def _run(job: Job, tick: datetime, state: RunState, ended_at: datetime | None = None, error: str = "") -> JobRun:
    later = timedelta(seconds=jitter_seconds(job.key, tick, job.jitter_seconds))
    return JobRun(job=job, scheduled_for=tick, ready_at=tick + later, state=state, ended_at=ended_at, error=error)


def _check_in_is_late(job: Job, deadline: datetime, now: datetime) -> bool:
    expected = deadline - timedelta(seconds=job.grace_seconds)
    row = _run(job, expected, RunState.MISSED, ended_at=now, error="It has not checked in.")
    JobRun.objects.bulk_create([row], ignore_conflicts=True)
    Job.objects.filter(id=job.pk).update(next_due=None, late=True)
    _alert(job, "job_late", f"{job.key} should have checked in at {expected:%Y-%m-%d %H:%M:%S} UTC.")
    return True


def _alert(job: Job, rule: str, summary: str) -> None:
    event = AlertRaised(rule=rule, severity="warning", source=f"job:{job.key}", summary=summary)
    transaction.on_commit(partial(publish, event))


def runs_to_wake(*, now: datetime) -> list[int]:
    """The runs that are ready and that no worker has been told of lately, those that wait longest first."""
    unheard = Q(woken_at=None) | Q(woken_at__lte=now - WAKE_AGAIN)
    ready = JobRun.objects.filter(unheard, state=RunState.SCHEDULED, ready_at__lte=now)
    ids = list(ready.order_by("ready_at").values_list("id", flat=True)[:MOST_RUNS])
    return [run_id for run_id in ids if JobRun.objects.filter(unheard, id=run_id).update(woken_at=now)]
