"""Starting, ending and clearing cooldowns. Each start and end is one row of the event log."""

from datetime import datetime

from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from agenthub.core.clock import utc_now
from agenthub.core.crypto import Unreadable
from agenthub.core.retries import retried
from agenthub.core.versions import bump
from providers.models import Backend, CooldownEvent
from providers.rules.redaction import response_summary as summary_of
from providers.rules.table import BackendStatus
from providers.services.keys import api_key_opened

_COOLS = Case(
    # A backend that is disabled or in error stays so; its cooldown runs beside.
    When(status=BackendStatus.HEALTHY, then=Value(BackendStatus.COOLING.value)),
    default=F("status"),
)

_ENDS = Case(When(status=BackendStatus.COOLING, then=Value(BackendStatus.HEALTHY.value)), default=F("status"))


@transaction.atomic
def cooldown_start(
    *,
    backend_id: str,
    until: datetime,
    started_at: datetime,
    consecutive_count: int,
    reason: str,
    response_summary: str,
) -> bool:
    """Start or extend a cooldown; False if an end as late stands already, or the backend is gone.

    `consecutive_count` is the number of 429s in a row for the reason `rate_limited`, and is kept with the backend;
    for `failures` it is the number of failure cooldowns in a row. Secrets are taken out of `response_summary`.
    """
    shorter = Q(cooldown_until__isnull=True) | Q(cooldown_until__lt=until)
    changes: dict[str, object] = {"cooldown_until": until, "status": _COOLS}
    if reason == CooldownEvent.Reason.RATE_LIMITED:
        changes["consecutive_429_count"] = consecutive_count
    # The conditional update decides between processes, and locks the row until the event is written.
    if not Backend.objects.filter(shorter, id=backend_id).update(**changes):
        return False
    backend = Backend.objects.get(id=backend_id)
    # An open event whose time had passed before this one began is another cooldown, that nobody has closed yet.
    CooldownEvent.objects.filter(backend_id=backend_id, ended_at=None, until__lte=started_at).update(
        ended_at=F("until")
    )
    event = CooldownEvent.objects.filter(backend_id=backend_id, ended_at=None).first()
    event = event or CooldownEvent(backend_id=backend_id, started_at=started_at)
    event.backend_name = backend.name
    event.until = until
    event.cooldown_seconds = (until - event.started_at).total_seconds()
    event.consecutive_count, event.reason = consecutive_count, reason
    event.response_summary = summary_of(response_summary, _secrets(backend))
    event.save()
    bump("routing")
    return True


def _secrets(backend: Backend) -> tuple[str, ...]:
    try:
        return (api_key_opened(backend),)
    except Unreadable:
        return ()


def cooldowns_expire(now: datetime) -> int:
    """End the cooldowns whose time has passed at `now`; the answer is how many backends and events were settled.

    Any number of processes may call it at once. The count of 429s in a row stays: only a success resets it.
    """
    return retried(lambda: _expire(now))


@transaction.atomic
def _expire(now: datetime) -> int:
    # Locked in one order by all who end several at once, so that no two of them wait for each other.
    list(Backend.objects.filter(cooldown_until__lte=now).order_by("id").select_for_update().values_list("id"))
    # Also of backends that are healthy by a success, disabled or in error: a time that has passed says nothing more.
    backends = Backend.objects.filter(cooldown_until__lte=now).update(status=_ENDS, cooldown_until=None)
    events = CooldownEvent.objects.filter(ended_at=None, until__lte=now).update(ended_at=F("until"))
    if backends:
        bump("routing")
    return max(backends, events)


@transaction.atomic
def cooldown_clear(backend_id: str) -> bool:
    """End a cooldown now because an operator says so, and forget the count of 429s; False if the backend is gone."""
    now = utc_now()
    backend = Backend.objects.select_for_update().filter(id=backend_id).first()
    if backend is None:
        return False
    backend.cooldown_until = None
    Backend.objects.filter(id=backend_id).update(
        cooldown_until=None,
        consecutive_429_count=0,
        reset_count=F("reset_count") + 1,
        status=backend.status_at(now),
    )
    CooldownEvent.objects.filter(backend_id=backend_id, ended_at=None).update(ended_at=now)
    bump("routing")
    return True
