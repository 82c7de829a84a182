"""The health of backends: which are due for a probe, what probes have found, and the figures of live traffic."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q

from agenthub.core.params import RuntimeSettings
from providers.models import Backend, BackendHealth, UsageRecord
from providers.rules.health import (
    Condition,
    LiveFigures,
    Sign,
    Try,
    after_probe,
    after_requests,
    live_figures,
    probe_every_seconds,
    requests_fail,
    sign_of,
    stale_after_seconds,
)
from providers.rules.table import ErrorKind, HealthState, Probe
from providers.services.backends import backend_error, backend_error_clear
from providers.services.conditions import condition_of, condition_set

WINDOW = timedelta(minutes=5)
LARGEST_SAMPLE = 20_000
"""Newest records that are looked at; a busier hub has its figures from a shorter time than five minutes."""


def backends_claim(*, now: datetime, settings: RuntimeSettings) -> list[Backend]:
    """The enabled backends whose probe is due; they count as probed now, so that nobody else probes them too."""
    wanted = Backend.objects.filter(enabled=True).exclude(probe=Probe.NONE).exclude(error_kind=ErrorKind.KEY)
    if settings.health_probe_endpoint == "none":
        wanted = wanted.exclude(probe=Probe.MODELS)
    return [backend for backend in wanted.select_related("health").order_by("id") if _claimed(backend, now, settings)]


def _claimed(backend: Backend, now: datetime, settings: RuntimeSettings) -> bool:
    health: BackendHealth | None = getattr(backend, "health", None)
    if health is None:
        return BackendHealth.objects.get_or_create(backend_id=backend.id, defaults={"last_check_at": now})[1]
    every = probe_every_seconds(HealthState(health.state), interval_seconds=settings.health_check_interval_seconds)
    if health.last_check_at is not None and now - health.last_check_at < timedelta(seconds=every):
        return False
    same = BackendHealth.objects.filter(backend_id=backend.id, last_check_at=health.last_check_at)
    return bool(same.update(last_check_at=now))


@transaction.atomic
def backend_probed(
    *, backend_id: str, status_code: int | None, latency_ms: float | None, reason: str, trial: bool, now: datetime
) -> HealthState | None:
    """Note the outcome of a probe by the clock of the hub; how the backend is now, None for one that is gone.

    A good one ends an error that is older than the probe. `trial`: it was a completion, which proves the quota too.
    `reason` tells of what went wrong.
    """
    backend = Backend.objects.select_for_update().filter(id=backend_id).first()
    if backend is None:
        return None
    health = BackendHealth.objects.filter(backend_id=backend_id).first()
    # The claim has noted when the probe began; the row may have gone since.
    began_at = health.last_check_at if health is not None and health.last_check_at is not None else now
    sign = sign_of(status_code)
    fail = health is not None and requests_fail(health.success_rate_5m, health.tries_5m)
    after = after_probe(condition_of(health), sign, requests_fail=fail)
    condition_set(
        backend_id=backend_id,
        condition=after,
        last_status_code=status_code,
        last_latency_ms=latency_ms,
        last_check_at=now,
    )
    if sign is Sign.CREDENTIALS and not backend.error_kind:
        backend_error(backend_id=backend_id, kind=ErrorKind.CREDENTIALS, reason=reason)
    elif sign is Sign.GOOD and (backend.error_since is None or backend.error_since <= began_at):
        # A probe that was under way when a request met the error proves nothing against it; the next one does.
        proved = (ErrorKind.CREDENTIALS, ErrorKind.QUOTA) if trial else (ErrorKind.CREDENTIALS,)
        backend_error_clear(backend_id, kinds=proved)
    return after.state


def health_expire(*, now: datetime, settings: RuntimeSettings) -> int:
    """What was found out too long ago is no longer known; of how many backends."""
    since = now - timedelta(seconds=stale_after_seconds(settings.health_check_interval_seconds))
    old = BackendHealth.objects.exclude(state=HealthState.UNKNOWN).filter(
        Q(last_check_at=None) | Q(last_check_at__lt=since), Q(live_at=None) | Q(live_at__lt=since)
    )
    ids = sorted(old.values_list("backend_id", flat=True))
    return sum(condition_set(backend_id=backend_id, condition=Condition()) for backend_id in ids)


def backend_figures_refresh(*, now: datetime) -> int:
    """Bring the figures of live traffic of all backends up to date, and their health where it says so; how many
    changed.

    Without requests in the last five minutes the success rate is unknown, and what was seen last stays.
    """
    seen = live_figures(_tries(now))
    stored = {health.backend_id: health for health in BackendHealth.objects.all()}
    count = 0
    for backend_id in sorted(Backend.objects.values_list("id", flat=True)):
        count += _store(backend_id, seen.get(backend_id, LiveFigures()), stored.get(backend_id))
    return count


def _tries(now: datetime) -> Iterator[Try]:
    """The attempts of the newest records, oldest first."""
    records = UsageRecord.objects.filter(ended_at__gt=now - WINDOW).exclude(backend_id="").order_by("-ended_at")
    for ended_at, trail in reversed(list(records.values_list("ended_at", "trail")[:LARGEST_SAMPLE])):
        for backend_id, outcome, status, _, elapsed_ms in trail:
            yield Try(backend_id, outcome, status, elapsed_ms, ended_at.timestamp())


@transaction.atomic
def _store(backend_id: str, figures: LiveFigures, stored: BackendHealth | None) -> bool:
    wanted: dict[str, object] = {"success_rate_5m": figures.success_rate, "tries_5m": figures.tries}
    if figures.last_latency_ms is not None:
        wanted["last_latency_ms"] = figures.last_latency_ms
    if figures.last_status_code is not None:
        wanted["last_status_code"] = figures.last_status_code
    if figures.last_said_at is not None:
        wanted["live_at"] = datetime.fromtimestamp(figures.last_said_at, UTC)
    blank = BackendHealth() if stored is None else stored
    if {name: getattr(blank, name) for name in wanted} == wanted:
        return False
    if not Backend.objects.select_for_update().filter(id=backend_id).values_list("id").first():
        return False  # deleted meanwhile
    # Behind the lock: a probe may have found out more since the rows were read.
    health = BackendHealth.objects.filter(backend_id=backend_id).first()
    condition_set(backend_id=backend_id, condition=_by_requests(health, figures), **wanted)
    return True


def _by_requests(health: BackendHealth | None, figures: LiveFigures) -> Condition:
    checked_at = 0.0 if health is None or health.last_check_at is None else health.last_check_at.timestamp()
    succeeded_at = figures.last_success_at
    return after_requests(
        condition_of(health),
        requests_fail=requests_fail(figures.success_rate, figures.tries),
        succeeded_since=succeeded_at is not None and succeeded_at > checked_at,
    )
