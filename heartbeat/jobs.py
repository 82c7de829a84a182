"""The built-in jobs: each calls one service. Their schedules are rows, which operators may change."""

from threading import BoundedSemaphore

from django.core.cache import cache

from agenthub.core.clock import epoch_seconds, utc_now
from agenthub.core.settings_store import runtime_settings
from agenthub.hub.services import inbox
from heartbeat import metrics
from heartbeat.backups import making
from heartbeat.registry import job
from heartbeat.services import alerts, components, runs, watchdog
from providers import probes
from providers.services import cooldowns, health, usage
from storagecustodian.services import pruning, verifying

# A pass that waits for something slow leaves the threads of the worker to others; the next pass takes what is due.
_probing = BoundedSemaphore(2)


@job(every_seconds=5, grace_seconds=30)
def cooldowns_expire() -> int:
    """Ends cooldowns whose time has passed, where no web process runs that would."""
    return cooldowns.cooldowns_expire(utc_now())


@job(every_seconds=5, grace_seconds=30)
def backend_figures_refresh() -> int:
    """Brings the rolling figures of backends up to date, each stats_refresh_interval_seconds."""
    interval_seconds = runtime_settings().stats_refresh_interval_seconds
    if not cache.add("backend_figures_refreshed", True, timeout=interval_seconds):
        return 0
    return health.backend_figures_refresh(now=utc_now())


@job(every_seconds=5, grace_seconds=30, overlap="allow")
def backends_probe() -> int:
    """Probes backends: each every health_check_interval_seconds, one that is down every 5 seconds."""
    if not _probing.acquire(blocking=False):
        return 0
    try:
        return probes.backends_probe(now=utc_now())
    finally:
        _probing.release()


@job(every_seconds=5, grace_seconds=30)
def components_sweep() -> int:
    """Finds components that have not beaten in time, and raises and resolves their alerts."""
    found = components.components_sweep(now=epoch_seconds())
    components.components_alert()
    metrics.components_show()
    return found


@job(every_seconds=60)
def jobs_watch() -> int:
    """The watchdog: raises an alert for jobs that are due and that nobody runs."""
    return watchdog.jobs_watch(now=utc_now())


@job(every_seconds=3600)
def usage_prune() -> int:
    """Deletes per-request usage records older than usage_retention_days; the sums stay."""
    return usage.usage_prune(now=utc_now(), days=runtime_settings().usage_retention_days)


@job(every_seconds=3600)
def components_prune() -> int:
    """Forgets processes that have not beaten for a day."""
    return components.components_prune(now=utc_now())


@job(every_seconds=3600)
def alerts_prune() -> int:
    """Deletes alerts that were resolved more than 30 days ago."""
    return alerts.alerts_prune(now=utc_now())


@job(every_seconds=3600)
def job_runs_prune() -> int:
    """Forgets old runs: of each job the newest 100 are kept, for 30 days."""
    return runs.runs_prune(now=utc_now())


@job(every_seconds=3600, max_run_seconds=6 * 3600)
def backup_daily() -> str:
    """Makes a backup where the newest is a day old, and removes those older than backup_retention_days."""
    return making.backup_daily(now=utc_now(), days=runtime_settings().backup_retention_days)


@job(every_seconds=3600, max_run_seconds=3600)
def checkpoints_prune() -> int:
    """Deletes automatic checkpoints beyond checkpoint_keep_count, _days and _bytes."""
    keep = pruning.retention_of(runtime_settings())
    return sum(len(done.ids) for done in pruning.checkpoints_prune(keep=keep, now=utc_now()))


@job(every_seconds=3600, max_run_seconds=3600)
def messages_prune() -> int:
    """Moves messages that are a week old from inboxes into history; deletes those older than message_retention_days and
    reports of agents older than agent_log_retention_days."""
    inbox.inboxes_trim(now=utc_now())
    settings = runtime_settings()
    return inbox.history_prune(
        message_days=settings.message_retention_days, log_days=settings.agent_log_retention_days, now=utc_now()
    )


@job(cron="30 3 * * *", max_run_seconds=6 * 3600)
def checkpoints_verify() -> int:
    """Checks the hash of every checkpoint, and brings their files in line with the database."""
    return len(verifying.checkpoints_verify().damaged)
