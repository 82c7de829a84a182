"""The built-in jobs: one table that says what runs and how often."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that runs on a schedule."""

    name: str
    task: str  # the name of a task in a `tasks.py`
    every_seconds: float
    help: str


JOBS: tuple[Job, ...] = (
    Job(
        name="cooldowns_expire",
        task="heartbeat.tasks.cooldowns_expire",
        every_seconds=5,
        help="Ends cooldowns whose time has passed, where no web process runs that would.",
    ),
    Job(
        name="backend_figures_refresh",
        task="heartbeat.tasks.backend_figures_refresh",
        every_seconds=5,
        help="Brings the rolling figures of backends up to date, each stats_refresh_interval_seconds.",
    ),
    Job(
        name="backends_probe",
        task="heartbeat.tasks.backends_probe",
        every_seconds=5,
        help="Probes backends: each every health_check_interval_seconds, one that is down every 5 seconds.",
    ),
    Job(
        name="components_sweep",
        task="heartbeat.tasks.components_sweep",
        every_seconds=5,
        help="Finds components that have not beaten in time, and raises and resolves their alerts.",
    ),
    Job(
        name="components_check",
        task="heartbeat.tasks.components_check",
        every_seconds=5,
        help="Runs the checks of components that are due.",
    ),
    Job(
        name="usage_prune",
        task="heartbeat.tasks.usage_prune",
        every_seconds=3600,
        help="Deletes per-request usage records older than usage_retention_days; the sums stay.",
    ),
    Job(
        name="components_prune",
        task="heartbeat.tasks.components_prune",
        every_seconds=3600,
        help="Forgets processes that have not beaten for a day.",
    ),
    Job(
        name="alerts_prune",
        task="heartbeat.tasks.alerts_prune",
        every_seconds=3600,
        help="Deletes alerts that were resolved more than 30 days ago.",
    ),
    Job(
        name="backup_daily",
        task="heartbeat.tasks.backup_daily",
        every_seconds=3600,
        help="Makes a backup where the newest is a day old, and removes those older than backup_retention_days.",
    ),
    Job(
        name="checkpoints_prune",
        task="storagecustodian.tasks.checkpoints_prune",
        every_seconds=3600,
        help="Deletes automatic checkpoints beyond checkpoint_keep_count, _days and _bytes.",
    ),
    Job(
        name="checkpoints_verify",
        task="storagecustodian.tasks.checkpoints_verify",
        every_seconds=86_400,
        help="Checks the hash of every checkpoint, and brings their files in line with the database.",
    ),
)
