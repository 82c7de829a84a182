"""Reads of alerts, components and jobs."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, OuterRef, QuerySet, Subquery

from agenthub.core.clock import epoch_seconds
from heartbeat.models import Alert, Component, Job, JobRun
from heartbeat.rules.alerting import AlertState
from heartbeat.rules.components import ALIASES
from heartbeat.rules.lateness import ComponentStatus, Overall, overall

_WORST_FIRST = (
    ComponentStatus.ERROR,
    ComponentStatus.LATE,
    ComponentStatus.UNKNOWN,
    ComponentStatus.NEW,
    ComponentStatus.HEALTHY,
    ComponentStatus.PAUSED,
)


def alerts(*, state: str = "") -> QuerySet[Alert]:
    """All alerts, those that were seen last first; only those of one state where it is named."""
    found = Alert.objects.order_by("-last_seen_at", "-id")
    return found.filter(state=state) if state else found


def alerts_open() -> QuerySet[Alert]:
    """Alerts that are not resolved, those that were seen last first."""
    return alerts().exclude(state=AlertState.RESOLVED)


def components(*, kind: str = "") -> list[Component]:
    """All components by name, as they are at this moment; only those of one kind (or its other name) if it is named."""
    found = Component.objects.order_by("name")
    if kind:
        found = found.filter(kind=ALIASES.get(kind, kind))
    now = epoch_seconds()
    rows = list(found)
    for component in rows:
        component.status = component.status_at(now)
    return rows


def component_named(name: str) -> Component | None:
    """A component as it is at this moment; for the other name of a part of AgentHub, the worst of these parts."""
    if name in ALIASES:
        of_kind = components(kind=name)
        return min(of_kind, key=lambda each: _WORST_FIRST.index(ComponentStatus(each.status)), default=None)
    component = Component.objects.filter(name=name).first()
    if component is not None:
        component.status = component.status_at(epoch_seconds())
    return component


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How all components together are."""

    status: Overall
    counts: dict[str, int]  # by status, and `total`
    last_heartbeat: datetime | None
    troubled: tuple[Component, ...]  # neither healthy nor paused, by name


def pulse() -> Pulse:
    """The state of all components at this moment, also when no sweep has run for long."""
    rows = components()
    statuses = [ComponentStatus(component.status) for component in rows]
    counted = Counter(statuses)
    well = (ComponentStatus.HEALTHY, ComponentStatus.PAUSED)
    return Pulse(
        status=overall(statuses),
        counts={"total": len(rows)} | {status.value: counted[status] for status in ComponentStatus},
        last_heartbeat=Component.objects.aggregate(newest=Max("last_seen"))["newest"],
        troubled=tuple(component for component in rows if component.status not in well),
    )


def jobs() -> QuerySet[Job]:
    """All jobs by key, each with the state, the time and the error of its last run: `last_state`, `last_run`,
    `last_error`."""
    begun = JobRun.objects.filter(job=OuterRef("pk")).order_by("-scheduled_for")[:1]
    return Job.objects.order_by("key").annotate(
        last_state=Subquery(begun.values("state")),
        last_run=Subquery(begun.values("scheduled_for")),
        last_error=Subquery(begun.values("error")),
    )


def job_keyed(key: str) -> Job | None:
    """A job by its key."""
    return jobs().filter(key=key).first()


def runs_of(job: Job, *, state: str = "") -> QuerySet[JobRun]:
    """The runs of a job, newest first; only those of one state where it is named."""
    found = JobRun.objects.filter(job=job).order_by("-scheduled_for", "-id")
    return found.filter(state=state) if state else found
