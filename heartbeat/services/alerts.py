"""Raising, acknowledging and resolving alerts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from prometheus_client import Counter

from agenthub.core.clock import utc_now
from agenthub.core.retries import retried
from heartbeat.models import Alert
from heartbeat.rules.alerting import (
    LONGEST_RULE,
    LONGEST_SOURCE,
    LONGEST_SUMMARY,
    AlertState,
    Severity,
    details_kept,
    fingerprint,
    text_kept,
)

RESOLVED_DAYS = 30
"""How long resolved alerts are kept."""

_OPEN = (AlertState.FIRING, AlertState.ACKNOWLEDGED)
_TRIES = 5

alerts_total = Counter("agenthub_alerts", "Alerts that began to fire.", ["rule", "severity"])


@transaction.atomic
def alert_raise(
    *, rule: str, severity: str, source: str, scope: str = "", summary: str, details: Mapping[str, Any]
) -> bool:
    """Say that something is wrong; True if that is new.

    While an alert of this rule, source and scope is not resolved, it is only counted and seen again; any number of
    processes may raise it at once. Texts that are too long are cut. Raises ValueError for an unknown severity.
    """
    now, mark = utc_now(), fingerprint(rule, source, scope)
    alert = Alert(
        rule=text_kept(rule, LONGEST_RULE),
        severity=Severity(severity).value,
        source=text_kept(source, LONGEST_SOURCE),
        scope=text_kept(scope, LONGEST_SOURCE),
        fingerprint=mark,
        summary=text_kept(summary, LONGEST_SUMMARY),
        details=details_kept(details),
        started_at=now,
        last_seen_at=now,
    )
    for _ in range(_TRIES):
        if _open(mark).update(count=F("count") + 1, last_seen_at=now):
            return False
        # The partial unique index decides between processes; the one that comes second waits for the first.
        Alert.objects.bulk_create([alert], ignore_conflicts=True)
        if Alert.objects.filter(id=alert.id).exists():
            transaction.on_commit(partial(_count, alert.rule, alert.severity))
            return True
        # Another process was quicker, and it may have been resolved since: look again.
    return False


def _count(rule: str, severity: str) -> None:
    alerts_total.labels(rule, severity).inc()


def _open(mark: str) -> QuerySet[Alert]:
    return Alert.objects.filter(fingerprint=mark, state__in=_OPEN)


def alert_acknowledge(*, alert_id: str, by: str) -> bool:
    """Note that somebody (a name) has seen an alert; False if it was acknowledged or resolved before, or is gone."""
    firing = Alert.objects.filter(id=alert_id, state=AlertState.FIRING)
    changes = {"state": AlertState.ACKNOWLEDGED, "acknowledged_by": text_kept(by, 150), "acknowledged_at": utc_now()}
    return bool(firing.update(**changes))


def alert_resolve(*, rule: str, source: str, scope: str = "") -> bool:
    """What the alert tells of is over; False if there is none that is not resolved."""
    return bool(_open(fingerprint(rule, source, scope)).update(state=AlertState.RESOLVED, resolved_at=utc_now()))


def alert_close(*, alert_id: str, by: str) -> bool:
    """Resolve an alert because somebody (a name) says so; False if it was resolved before, or is gone."""
    alive = Alert.objects.filter(id=alert_id, state__in=_OPEN)
    return bool(alive.update(state=AlertState.RESOLVED, resolved_by=text_kept(by, 150), resolved_at=utc_now()))


def alerts_prune(*, now: datetime, batch: int = 1_000) -> int:
    """Delete what was resolved more than RESOLVED_DAYS ago, in short transactions; how many went."""
    end, total = now - timedelta(days=RESOLVED_DAYS), 0
    while deleted := retried(lambda: _delete_resolved(end, batch)):
        total += deleted
    return total


@transaction.atomic
def _delete_resolved(end: datetime, batch: int) -> int:
    # Rows that another node is just deleting are left to it.
    old = Alert.objects.filter(resolved_at__lt=end).order_by("resolved_at").select_for_update(skip_locked=True)
    ids = list(old.values_list("id", flat=True)[:batch])
    return Alert.objects.filter(id__in=ids).delete()[0] if ids else 0
