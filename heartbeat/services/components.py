"""What happens to components: they are registered, beat, report, are swept, paused and forgotten.

A beat and a report are conditional statements, and so is each half of a sweep: they may come twice, late and from any
number of processes at once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, Case, CharField, F, JSONField, Q, Value, When

from agenthub.core.clock import epoch_seconds
from agenthub.core.errors import Conflict
from agenthub.core.events import AlertRaised, AlertResolved, publish
from heartbeat.models import Alert, Component
from heartbeat.rules.alerting import AlertState
from heartbeat.rules.components import OF_PROCESSES, CheckKind, Kind
from heartbeat.rules.host import Level
from heartbeat.rules.lateness import LONGEST_TEXT, SETTLED, TIMEOUT, ComponentStatus
from heartbeat.services.appended import ErrorAppended

COMPONENT_ERROR, HOST_CRITICAL, COMPONENT_WARNING = "component_error", "host_critical", "component_warning"
FORGOTTEN_AFTER = timedelta(days=1)
"""A process that has not beaten for so long does not come back."""

MOST_ALERTS = 100
"""Alerts of one rule about components; who has more in error at once knows already that something is wrong."""


# What people and programs register and change is saved row by row, so that the audit trail sees it.


def component_register(*, name: str, values: Mapping[str, Any]) -> Component:
    """Add a component, which has its interval to beat for the first time. Raises ValidationError of Django."""
    component = Component(name=name, **values)
    _start(component)
    component.full_clean()
    component.save()
    return component


@transaction.atomic
def component_update(*, component_id: int, values: Mapping[str, Any]) -> Component:
    """Change a component; its deadlines begin anew. Raises Component.DoesNotExist and ValidationError of Django."""
    component = Component.objects.select_for_update().get(id=component_id)
    for column, value in values.items():
        setattr(component, column, value)
    component.full_clean()
    component.save(update_fields=[field for field in values if field not in Component.FINDINGS])
    _restart(component)
    return component


def component_delete(*, component_id: int) -> bool:
    """Take a component away, and its alerts with the next sweep; False if it is gone. Raises Conflict for one of
    AgentHub's own checks, which would only come back."""
    component = Component.objects.filter(id=component_id).first()
    if component is None:
        return False
    if component.built_in:
        raise Conflict(f"{component.name} is one of AgentHub's own; pause it instead.", param="name")
    component.delete()
    return True


def component_pause(*, component_id: int) -> bool:
    """Look at it no longer; False if it is paused already, or gone."""
    running = Component.objects.filter(id=component_id).exclude(status=ComponentStatus.PAUSED)
    return bool(running.update(status=ComponentStatus.PAUSED, transitions=F("transitions") + 1, level="", note=""))


def component_resume(*, component_id: int) -> bool:
    """Look at it again, as at a new one; False if it was not paused, or is gone."""
    component = Component.objects.filter(id=component_id, status=ComponentStatus.PAUSED).first()
    if component is None:
        return False
    now = epoch_seconds()
    return bool(
        Component.objects.filter(id=component_id, status=ComponentStatus.PAUSED).update(
            status=ComponentStatus.NEW, transitions=F("transitions") + 1, next_check_at=0.0, **_deadlines(now)
        )
    )


def _start(component: Component) -> None:
    now = epoch_seconds()
    component.late_after = now + component.interval_seconds
    component.error_after = now + component.interval_seconds * component.stale_factor


def _restart(component: Component) -> None:
    Component.objects.filter(id=component.pk).update(next_check_at=0.0, **_deadlines(epoch_seconds()))
    component.refresh_from_db()


# What components say of themselves, and what the clock says of them. A component whose time has passed expires first
# and is counted afterwards, so that also the first report after an outage that no sweep has seen is right.


def component_beat(
    *, name: str, sequence: int | None = None, level: Level = Level.OK, note: str = "", now: float | None = None
) -> bool:
    """A component lives; False if there is none of this name, or the beat came before, or out of order.

    With a `sequence`, one that is not above the last is left out, unless the component was away: then its sender has
    begun anew. `now`: epoch seconds.
    """
    at = epoch_seconds() if now is None else now
    found = Component.objects.filter(name=name)
    if sequence is not None:
        found = found.filter(Q(sequence__lt=sequence) | ~Q(status=ComponentStatus.HEALTHY))
    seen: dict[str, Any] = {
        "last_seen": _moment(at),
        "sequence": F("sequence") + 1 if sequence is None else sequence,
        "level": level,
        "note": note[:LONGEST_TEXT],
        **_deadlines(at),
    }
    # Nearly always it was well before, and then there is little to say.
    if found.filter(status=ComponentStatus.HEALTHY, error_after__gte=at).update(**seen):
        return True
    overdue = _overdue(at)
    steady = Q(status__in=(ComponentStatus.HEALTHY, ComponentStatus.PAUSED))
    return bool(
        found.update(
            status=Case(
                When(status=ComponentStatus.PAUSED, then=F("status")),
                default=Value(ComponentStatus.HEALTHY),
                output_field=CharField(),
            ),
            transitions=Case(
                When(overdue, then=F("transitions") + 2),
                When(steady, then=F("transitions")),
                default=F("transitions") + 1,
                output_field=BigIntegerField(),
            ),
            errors=Case(When(overdue, then=_timeout(at)), default=F("errors"), output_field=JSONField()),
            **seen,
        )
    )


def component_report(*, name: str, ok: bool, text: str = "", level: Level = Level.OK, now: float | None = None) -> bool:
    """What a component says of itself, or its check of it: it lives, or has an error (`text`).

    An error is noted once per outage. False if there is none of this name.
    """
    at = epoch_seconds() if now is None else now
    if ok:
        return component_beat(name=name, level=level, note=text, now=at)
    settled, overdue = Q(status__in=SETTLED), _overdue(at)
    return bool(
        Component.objects.filter(name=name).update(
            status=Case(
                When(status=ComponentStatus.PAUSED, then=F("status")),
                default=Value(ComponentStatus.ERROR),
                output_field=CharField(),
            ),
            transitions=Case(
                When(settled, then=F("transitions")), default=F("transitions") + 1, output_field=BigIntegerField()
            ),
            errors=Case(
                When(settled, then=F("errors")),
                When(overdue, then=_timeout(at)),
                default=ErrorAppended(at=_moment(at).isoformat(), text=text),
                output_field=JSONField(),
            ),
            last_seen=_moment(at),
            level=Level.CRITICAL,
            note=text[:LONGEST_TEXT],
        )
    )


def component_unknown(*, name: str, text: str) -> bool:
    """The check of a component can't be run here, so nothing is known of it; False if that was known."""
    found = Component.objects.filter(name=name).exclude(status__in=(ComponentStatus.UNKNOWN, *SETTLED))
    return bool(
        found.update(status=ComponentStatus.UNKNOWN, transitions=F("transitions") + 1, note=text[:LONGEST_TEXT])
    )


def component_leave(*, name: str) -> bool:
    """A process has ended in good order, and is no longer expected; False if it was not."""
    return bool(Component.objects.filter(name=name, kind__in=OF_PROCESSES).delete()[0])


def components_sweep(*, now: float) -> int:
    """Find all whose time has passed (epoch seconds) in two statements; how many have become late or in error."""
    timed_out = Component.objects.filter(error_after__lt=now).exclude(status__in=SETTLED)
    errors = timed_out.update(
        status=ComponentStatus.ERROR,
        transitions=F("transitions") + 1,
        errors=_timeout(now),
        level=Level.CRITICAL,
        note=TIMEOUT,
    )
    late = Component.objects.filter(late_after__lt=now, error_after__gte=now).exclude(
        status__in=(ComponentStatus.LATE, *SETTLED)
    )
    return errors + late.update(status=ComponentStatus.LATE, transitions=F("transitions") + 1)


def components_prune(*, now: datetime) -> int:
    """Forget processes, and checks of machines, that have not been heard of for long; how many."""
    gone = Component.objects.filter(kind__in=OF_PROCESSES, last_seen__lt=now - FORGOTTEN_AFTER)
    return gone.exclude(status=ComponentStatus.PAUSED).delete()[0]


def components_alert() -> int:
    """Raise an alert for each component in error and each bad finding of a check that is not, and resolve those that
    are over; how many were raised or resolved."""
    error = Component.objects.filter(status=ComponentStatus.ERROR)
    others = Component.objects.exclude(status__in=SETTLED)
    return (
        _alerts_of(COMPONENT_ERROR, "critical", error, "is in error")
        + _alerts_of(HOST_CRITICAL, "critical", others.filter(level=Level.CRITICAL), "finds")
        + _alerts_of(COMPONENT_WARNING, "warning", others.filter(level=Level.WARNING), "warns")
    )


def _alerts_of(rule: str, severity: str, components: Any, verb: str) -> int:
    wanted = {
        f"component:{name}"[:128]: f"The component {name} {verb}: {note or TIMEOUT}"
        for name, note in components.order_by("name").values_list("name", "note")[:MOST_ALERTS]
    }
    alive = (AlertState.FIRING, AlertState.ACKNOWLEDGED)
    standing = set(Alert.objects.filter(rule=rule, state__in=alive).values_list("source", flat=True))
    for source in wanted.keys() - standing:
        publish(AlertRaised(rule=rule, severity=severity, source=source, summary=wanted[source]))
    over = standing - wanted.keys()
    for source in over:
        publish(AlertResolved(rule=rule, source=source))
    return len(wanted.keys() - standing) + len(over)


# Checks.


def components_due(*, now: float, node: str, most: int) -> list[Component]:
    """Components whose check is due on this node; they count as checked, so that nobody else checks them too."""
    due = (
        Component.objects.exclude(check_kind=CheckKind.NONE)
        .exclude(status=ComponentStatus.PAUSED)
        .filter(Q(node="") | Q(node=node), next_check_at__lte=now)
        .order_by("next_check_at")
    )
    return [component for component in due[:most] if _claimed(component, now)]


def _claimed(component: Component, now: float) -> bool:
    # Twice in an interval, so that a component whose check passes on time is never late.
    same = Component.objects.filter(id=component.pk, next_check_at=component.next_check_at)
    return bool(same.update(next_check_at=now + component.interval_seconds / 2))


def component_check_now(*, component_id: int) -> bool:
    """Have the next pass of its worker run the check of a component; False if it has none, is paused, or is gone."""
    checked = Component.objects.filter(id=component_id).exclude(check_kind=CheckKind.NONE)
    return bool(checked.exclude(status=ComponentStatus.PAUSED).update(next_check_at=0.0))


def components_ensure(wanted: Mapping[str, Mapping[str, Any]]) -> int:
    """See to it that AgentHub's own checks are registered, by name; what stands is left as people have changed it."""
    known = set(Component.objects.filter(name__in=wanted).values_list("name", flat=True))
    made = [Component(name=name, built_in=True, **values) for name, values in wanted.items() if name not in known]
    for component in made:
        _start(component)
    Component.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def component_seen(*, name: str, kind: Kind) -> None:
    """A beat of a part of AgentHub itself, which is registered by its first one."""
    if component_beat(name=name):
        return
    component = Component(name=name, kind=kind)
    _start(component)
    # Not by save(): what AgentHub does by itself is nobody's change in the audit trail.
    Component.objects.bulk_create([component], ignore_conflicts=True)
    component_beat(name=name)


def _overdue(now: float) -> Q:
    return Q(error_after__lt=now) & ~Q(status__in=SETTLED)


def _timeout(now: float) -> ErrorAppended:
    return ErrorAppended(at=_moment(now).isoformat(), text=TIMEOUT)


def _deadlines(now: float) -> dict[str, Any]:
    interval = F("interval_seconds")
    return {"late_after": now + interval, "error_after": now + interval * F("stale_factor")}


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
