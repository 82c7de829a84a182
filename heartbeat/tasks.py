"""The jobs as tasks: each calls one service."""

from threading import BoundedSemaphore

from celery import shared_task
from django.core.cache import cache

from agenthub.core.clock import epoch_seconds, utc_now
from agenthub.core.settings_store import runtime_settings
from heartbeat import checks, metrics
from heartbeat.backups import making
from heartbeat.beats import node_name
from heartbeat.services import alerts, components
from providers import probes
from providers.services import cooldowns, health, usage

# A pass that waits for something slow leaves the threads of the worker to others; the next pass takes what is due.
_probing = BoundedSemaphore(2)
_checking = BoundedSemaphore(1)


@shared_task
def backends_probe() -> int:
    """Probe backends that are due; how many were."""
    if not _probing.acquire(blocking=False):
        return 0
    try:
        return probes.backends_probe(now=utc_now())
    finally:
        _probing.release()


@shared_task
def components_check() -> int:
    """Run the checks of components that are due; how many were."""
    if not _checking.acquire(blocking=False):
        return 0
    try:
        return checks.components_check(now=epoch_seconds(), node=node_name())
    finally:
        _checking.release()


@shared_task
def components_sweep() -> int:
    """Find components that have not beaten in time, and tell of them; how many there were."""
    found = components.components_sweep(now=epoch_seconds())
    components.components_alert()
    metrics.components_show()
    return found


@shared_task
def components_prune() -> int:
    """Forget processes that have not beaten for long; how many."""
    return components.components_prune(now=utc_now())


@shared_task
def cooldowns_expire() -> int:
    """End cooldowns whose time has passed; how many did."""
    return cooldowns.cooldowns_expire(utc_now())


@shared_task
def backend_figures_refresh() -> int:
    """Bring the rolling figures of backends up to date, unless their interval has not passed; how many changed."""
    interval_seconds = runtime_settings().stats_refresh_interval_seconds
    if not cache.add("backend_figures_refreshed", True, timeout=interval_seconds):
        return 0
    return health.backend_figures_refresh(now=utc_now())


@shared_task
def usage_prune() -> int:
    """Delete per-request records past their retention; how many went."""
    return usage.usage_prune(now=utc_now(), days=runtime_settings().usage_retention_days)


@shared_task
def alerts_prune() -> int:
    """Delete alerts that were resolved long ago; how many went."""
    return alerts.alerts_prune(now=utc_now())


@shared_task
def backup_daily() -> str:
    """Make the backup of the day where it is time for one; its name, "" where it is not."""
    return making.backup_daily(now=utc_now(), days=runtime_settings().backup_retention_days)
