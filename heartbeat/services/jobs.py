"""What happens to jobs: they are registered, changed, started, stopped, asked for and taken away."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict
from heartbeat.models import Job, JobRun
from heartbeat.registry import Definition
from heartbeat.rules.jobs import OPEN, JobKind, RunState
from heartbeat.rules.schedule import Overlap, ScheduleInvalid, ScheduleKind, next_tick, schedule_check

TIMING = frozenset({"schedule", "every_seconds", "cron", "time_zone", "at", "enabled", "kind"})
"""Columns that say when a job is due next."""


def job_register(*, key: str, values: Mapping[str, Any]) -> Job:
    """Add a job. Raises ValidationError of Django, and IntegrityError for a key that is taken."""
    job = Job(key=key, **values)
    job.full_clean()
    now = utc_now()
    if job.schedule == ScheduleKind.ONCE and job.at is not None and job.at <= now:
        raise ValidationError({"at": "That time has passed."})
    job.next_due = due_next(job, now)
    job.save()
    return job


@transaction.atomic
def job_update(*, job_id: int, values: Mapping[str, Any]) -> Job:
    """Change a job; with its schedule changed, it counts from now on. Raises Job.DoesNotExist and ValidationError."""
    job = Job.objects.select_for_update().get(id=job_id)
    for column, value in values.items():
        setattr(job, column, value)
    job.full_clean()
    if values.keys() & TIMING and job.kind != JobKind.CHECK_IN:
        job.next_due = due_next(job, utc_now())
    job.save(update_fields=[*values, "next_due"])
    if not job.enabled:
        _drop(job.pk)
    return job


def due_next(job: Job, now: datetime) -> datetime | None:
    """When a job is due next, as seen from now. A check-in has no ticks of its own: it is due after it was seen."""
    if not job.enabled or job.kind == JobKind.CHECK_IN:
        return None
    return next_tick(job.timing, now)


def job_unregister(*, job_id: int) -> bool:
    """Take a job and its runs away; False if it is gone. Raises Conflict for one of AgentHub's own."""
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        return False
    if job.built_in:
        raise Conflict(f"{job.key} is one of AgentHub's own and would only come back; stop it instead.", param="key")
    job.delete()
    return True


def job_start(*, job_id: int) -> bool:
    """Let a job run by its schedule; False if it does already, or is gone."""
    return _switch(job_id, enabled=True)


def job_stop(*, job_id: int) -> bool:
    """Let a job run no longer, unless somebody asks for it; what runs goes on. False if it was stopped, or is gone."""
    return _switch(job_id, enabled=False)


def jobs_start_all() -> int:
    """Start all jobs that are stopped; how many there were."""
    return sum(job_start(job_id=job_id) for job_id in _ids(enabled=False))


def jobs_stop_all() -> int:
    """Stop all jobs; how many there were. AgentHub's own stop too: nothing is probed, pruned or backed up."""
    return sum(job_stop(job_id=job_id) for job_id in _ids(enabled=True))


def _ids(*, enabled: bool) -> list[int]:
    return list(Job.objects.filter(enabled=enabled).order_by("id").values_list("id", flat=True))


@transaction.atomic
def _switch(job_id: int, *, enabled: bool) -> bool:
    job = Job.objects.select_for_update().filter(id=job_id).first()
    if job is None or job.enabled is enabled:
        return False
    job.enabled = enabled
    job.next_due = due_next(job, utc_now())
    job.save(update_fields=["enabled", "next_due"])
    if not enabled:
        _drop(job.pk)
    return True


def _drop(job_id: int) -> None:
    waiting = JobRun.objects.filter(job_id=job_id, state=RunState.SCHEDULED, manual=False)
    waiting.update(state=RunState.SKIPPED, ended_at=utc_now(), error="The job was stopped before the run began.")


@transaction.atomic
def job_run_now(*, job_id: int, now: datetime | None = None) -> JobRun:
    """Have a worker run a job at once, whether it is started or not. Raises Job.DoesNotExist, and Conflict where a
    run is not over that must be before, and for a check-in, which runs elsewhere."""
    job = Job.objects.select_for_update().get(id=job_id)
    if job.kind == JobKind.CHECK_IN:
        raise Conflict(f"{job.key} runs outside of AgentHub, which only waits for its check-in.", param="key")
    if job.overlap == Overlap.FORBID and JobRun.objects.filter(job=job, state__in=OPEN).exists():
        raise Conflict(f"A run of {job.key} waits or is under way already.", param="key")
    at = now or utc_now()
    try:
        with transaction.atomic():
            return JobRun.objects.create(job=job, scheduled_for=at, ready_at=at, state=RunState.SCHEDULED, manual=True)
    except IntegrityError:
        raise Conflict(f"A run of {job.key} was asked for in the same moment.", param="key") from None


def jobs_seed(registered: Iterable[Definition]) -> int:
    """Have a row for every registered callable; how many are new. What operators have changed stays as it is."""
    definitions = {definition.key: definition for definition in registered}
    known = dict(Job.objects.filter(built_in=True).values_list("key", "description"))
    now = utc_now()
    missing = [_of(definition, now) for key, definition in definitions.items() if key not in known]
    # A job of the same name that a person has made is left alone.
    Job.objects.bulk_create(missing, ignore_conflicts=True)
    for key, definition in definitions.items():
        if known.get(key, definition.description) != definition.description[:500]:
            Job.objects.filter(key=key, built_in=True).update(description=definition.description[:500])
    return len(missing)


def _of(definition: Definition, now: datetime) -> Job:
    job = Job(
        key=definition.key,
        kind=JobKind.CALLABLE,
        built_in=True,
        description=definition.description[:500],
        parameters={"callable": definition.key},
        **definition.values,
    )
    try:
        schedule_check(job.timing)
    except ScheduleInvalid as problem:
        raise ValueError(f"The job {definition.key} can't be kept: {problem}") from problem
    job.next_due = due_next(job, now)
    return job
