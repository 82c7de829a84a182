"""What happens to a run: a worker claims it for as long as it renews its lease, and says what has come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from agenthub.core.events import AlertRaised, publish
from agenthub.core.retries import retried
from heartbeat.metrics import job_runs_total
from heartbeat.models import Alert, Job, JobRun
from heartbeat.rules.alerting import AlertState, fingerprint
from heartbeat.rules.jobs import LEASE_SECONDS, LONGEST_ERROR, OPEN, JobKind, RunState, tail
from heartbeat.rules.schedule import Overlap, retry_seconds
from heartbeat.services.alerts import alert_resolve

LEASE = timedelta(seconds=LEASE_SECONDS)
RULES = ("job_failed", "job_missed", "job_late")
"""The alerts that a run ends which is good."""

KEPT_OF_A_JOB = 100
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that is this worker's while its lease holds."""

    run_id: int
    key: str
    kind: JobKind
    parameters: Mapping[str, Any] = field(repr=False)
    worker: str
    attempt: int
    retries: int
    max_run_seconds: float
    scheduled_for: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """What has come of a run."""

    state: RunState
    output: str = ""
    error: str = ""
    final: bool = False  # it is not tried again, whatever the rule


class Hold(Enum):
    """What a worker hears when it renews its lease."""

    KEPT = auto()
    STOP = auto()  # it shall stop
    LOST = auto()  # the run is another's, or over


@transaction.atomic
def run_claim(*, run_id: int, worker: str, now: datetime, able: Callable[[Job], bool]) -> Claim | None:
    """Begin a run; None if it is not to be had: another has it, it may not begin yet, or this worker is not able."""
    waiting = JobRun.objects.filter(id=run_id, state=RunState.SCHEDULED, ready_at__lte=now)
    run = waiting.select_related("job").first()
    if run is None or not able(run.job):
        return None
    # Runs of one job are claimed one after the other, so that two can't both find that nothing is under way.
    job = Job.objects.select_for_update().filter(id=run.job_id).first()
    if job is None:
        return None
    if job.overlap != Overlap.ALLOW:
        under_way = JobRun.objects.filter(job=job, state=RunState.RUNNING, lease_until__gt=now)
        if under_way.exists():
            return None
    claimed = waiting.update(
        state=RunState.RUNNING,
        worker=worker[:200],
        attempt=F("attempt") + 1,
        lease_until=now + LEASE,
        started_at=now,
        stop_asked=False,
        output="",
        error="",
    )
    if not claimed:
        return None
    return Claim(
        run_id=run.pk,
        key=job.key,
        kind=JobKind(job.kind),
        parameters=job.parameters,
        worker=worker[:200],
        attempt=run.attempt + 1,
        retries=job.retries,
        max_run_seconds=job.max_run_seconds,
        scheduled_for=run.scheduled_for,
    )


def _held(claim: Claim) -> QuerySet[JobRun]:
    return JobRun.objects.filter(id=claim.run_id, state=RunState.RUNNING, worker=claim.worker, attempt=claim.attempt)


def run_renew(*, claim: Claim, now: datetime) -> Hold:
    """Go on holding a run."""
    held = _held(claim)
    if not held.update(lease_until=now + LEASE):
        return Hold.LOST
    return Hold.STOP if held.filter(stop_asked=True).exists() else Hold.KEPT


def run_finish(*, claim: Claim, ended: Ended, now: datetime) -> bool:
    """Say what has come of a run; False if it was lost meanwhile. One that went wrong is tried again by its rule."""
    bad = ended.state in (RunState.FAILED, RunState.TIMED_OUT)
    if bad and not ended.final and claim.attempt <= claim.retries:
        return _again(_held(claim), ended, attempt=claim.attempt, now=now)
    finished = retried(
        lambda: _held(claim).update(
            state=ended.state,
            ended_at=now,
            lease_until=None,
            output=tail(ended.output),
            error=ended.error[:LONGEST_ERROR],
        )
    )
    if not finished:
        return False
    job_runs_total.labels(ended.state.value).inc()
    _tell(claim.key, ended, bad=bad)
    return True


def _again(held: QuerySet[JobRun], ended: Ended, *, attempt: int, now: datetime) -> bool:
    return bool(
        held.update(
            state=RunState.SCHEDULED,
            ready_at=now + timedelta(seconds=retry_seconds(attempt)),
            woken_at=None,
            lease_until=None,
            output=tail(ended.output),
            error=ended.error[:LONGEST_ERROR],
        )
    )


def _tell(key: str, ended: Ended, *, bad: bool) -> None:
    source = f"job:{key}"
    if bad:
        publish(AlertRaised(rule="job_failed", severity="warning", source=source, summary=f"{key}: {ended.error}"))
    elif ended.state is RunState.OK:
        alerts_end(source)


def alerts_end(source: str) -> None:
    """What was wrong with a job is over. Mostly nothing was: one read, and no write."""
    marks = {fingerprint(rule, source, ""): rule for rule in RULES}
    still = Alert.objects.filter(fingerprint__in=marks).exclude(state=AlertState.RESOLVED)
    for mark in still.values_list("fingerprint", flat=True):
        alert_resolve(rule=marks[mark], source=source)


def runs_reap(*, now: datetime) -> int:
    """Find runs whose workers have died: they are tried again by their rule, or have failed. How many there were."""
    lost = JobRun.objects.filter(state=RunState.RUNNING, lease_until__lte=now).select_related("job")[:500]
    return sum(_reaped(run, now) for run in lost)


def _reaped(run: JobRun, now: datetime) -> bool:
    same = JobRun.objects.filter(id=run.pk, state=RunState.RUNNING, attempt=run.attempt, lease_until=run.lease_until)
    ended = Ended(RunState.FAILED, run.output, f"Its worker {run.worker} died during the run, or lost the database.")
    if run.stop_asked:
        ended = Ended(RunState.FAILED, run.output, "It was stopped; its worker has died since.", final=True)
    if not ended.final and run.attempt <= run.job.retries:
        # At once: nothing is wrong with the job.
        return bool(
            same.update(state=RunState.SCHEDULED, ready_at=now, woken_at=None, lease_until=None, error=ended.error)
        )
    if not same.update(state=ended.state, ended_at=now, lease_until=None, error=ended.error):
        return False
    job_runs_total.labels(ended.state.value).inc()
    _tell(run.job.key, ended, bad=True)
    return True


def runs_prune(*, now: datetime, batch: int = 1_000) -> int:
    """Forget old runs, in short transactions: of each job the newest 100 are kept, for 30 days. How many went."""
    total = 0
    for job_id in Job.objects.order_by("id").values_list("id", flat=True):
        total += _pruned(job_id, now, batch)
    return total


def _pruned(job_id: int, now: datetime, batch: int) -> int:
    over = JobRun.objects.filter(job_id=job_id).exclude(state__in=OPEN).order_by("-scheduled_for")
    bounds = list(over.values_list("scheduled_for", flat=True)[KEPT_OF_A_JOB : KEPT_OF_A_JOB + 1])
    of_age = Q(ended_at__lt=now - KEPT)
    old = over.filter(of_age | Q(scheduled_for__lte=bounds[0]) if bounds else of_age)
    total = 0
    while deleted := retried(partial(_delete, old, batch)):
        total += deleted
    return total


@transaction.atomic
def _delete(old: QuerySet[JobRun], batch: int) -> int:
    ids = list(old.values_list("id", flat=True)[:batch])
    return JobRun.objects.filter(id__in=ids).delete()[0] if ids else 0
