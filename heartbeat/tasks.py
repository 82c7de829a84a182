"""The jobs as tasks: each calls one service."""

from celery import shared_task
from django.core.cache import cache

from agenthub.core.clock import utc_now
from agenthub.core.settings_store import runtime_settings
from heartbeat.backups import making
from heartbeat.services import alerts
from providers.services import cooldowns, health, usage


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
