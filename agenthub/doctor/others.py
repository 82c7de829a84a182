"""What `agenthub doctor` asks others about: database, Redis, clocks, backends."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from agenthub.core.clock import epoch_seconds, monotonic_seconds, utc_now
from agenthub.doctor.finding import Finding, failed, ok, skipped, warning
from heartbeat.backups.faults import BackupError
from heartbeat.backups.sqlite import damage
from providers.models import Backend, UsageRecord
from providers.probes import backends_test
from providers.selectors import backends_with_mappings

WRONG_CLOCK_SECONDS, FAR_WRONG_CLOCK_SECONDS = 2.0, 30.0
SLOW_MS = 20.0
REDIS_SECONDS = 3.0
OTHER_PROCESSES = 3
"""Beside the web processes a node has a flusher, a worker and, at its start, one that prepares the database."""


def database() -> Iterator[Finding]:
    """Whether it answers, is whole, up to date, and has room for the connections of this node."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except (DatabaseError, OSError) as problem:
        reason = " ".join(str(problem).split())
        yield failed("database", f"It does not answer: {reason}", "Start it, and check DATABASE_URL.")
        return
    if missing:
        yield failed("database", f"{missing} migrations are missing.", "Start the hub, or run “agenthub prepare”.")
    else:
        yield ok("database", f"{connection.display_name} answers and is up to date.")
    yield from _postgresql() if connection.vendor == "postgresql" else _sqlite()


def _sqlite() -> Iterator[Finding]:
    file = Path(str(connection.settings_dict["NAME"]))
    if not file.is_file():
        yield skipped("database", "It has no file.")
        return
    try:
        found = damage(file, quick=True)
    except BackupError as problem:
        yield failed("database", str(problem), "Look after its owner, its mode and the disk.")
        return
    if found:
        yield failed("database", f"{file} is damaged: {found}.", "Bring back a backup with “agenthub restore”.")
    else:
        yield ok("database", f"{file} is whole.")


def _postgresql() -> Iterator[Finding]:
    environment = settings.ENVIRONMENT
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int, current_setting('server_version')")
        most, version = cursor.fetchone()
    wanted = environment.database_pool_size * (environment.workers + OTHER_PROCESSES)
    words = f"PostgreSQL {version} takes {most} connections; this node may open {wanted}."
    if wanted > most:
        yield warning("database", words, "Lower AGENTHUB_DATABASE_POOL_SIZE, or raise max_connections of the server.")
    else:
        yield ok("database", words)


def redis() -> Finding:
    """Whether it answers, and how quickly."""
    if settings.ENVIRONMENT.redis_url is None:
        return skipped("redis", "REDIS_URL is not set.")
    import redis as client  # noqa: PLC0415 - an embedded hub has no need of it

    try:
        with client.Redis.from_url(settings.ENVIRONMENT.redis_url, socket_timeout=REDIS_SECONDS) as server:
            server.ping()
            began = monotonic_seconds()
            server.ping()
            took_ms = (monotonic_seconds() - began) * 1000
    except (client.RedisError, OSError) as problem:
        return failed("redis", f"It does not answer: {problem}", "Start it, and check REDIS_URL.")
    words = f"It answers in {took_ms:.1f} ms."
    return warning("redis", words, "Put it nearer to the hub.") if took_ms > SLOW_MS else ok("redis", words)


def clock() -> Finding:
    """This machine's clock beside that of the database server, or the newest record."""
    try:
        ahead = _ahead_seconds()
    except (DatabaseError, OSError):
        return skipped("clock", "The database does not answer.")
    advice = "Let the clock be set by NTP: cooldowns, budgets and the expiry of keys go by it."
    words = f"This machine's clock is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}."
    if abs(ahead) > FAR_WRONG_CLOCK_SECONDS:
        return failed("clock", words, advice)
    return warning("clock", words, advice) if abs(ahead) > WRONG_CLOCK_SECONDS else ok("clock", "It agrees.")


def _ahead_seconds() -> float:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            began = epoch_seconds()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone()
            return (began + epoch_seconds()) / 2 - float(theirs)
    newest = UsageRecord.objects.order_by("-ended_at").values_list("ended_at", flat=True).first()
    now: datetime = utc_now()
    # With one machine alone all that can be known is that the past does not lie in the future.
    return 0.0 if newest is None or newest <= now else (now - newest).total_seconds()


def backends() -> Iterator[Finding]:
    """Whether each enabled backend answers when it is asked for its models."""
    try:
        chosen: list[Backend] = list(backends_with_mappings().filter(enabled=True).order_by("name"))
        tested = backends_test(chosen)
    except (DatabaseError, OSError):
        yield skipped("backends", "The database does not answer.")
        return
    if not chosen:
        yield warning("backends", "There is none that is enabled.", "Add one in the admin.")
    for backend, found in zip(chosen, tested, strict=True):
        if found.ok:
            yield ok("backends", f"{backend.name} answers.")
        else:
            advice = f"Correct it in the admin; “agenthub backends test {backend.name}” tries again."
            yield failed("backends", f"{backend.name}: {found.diagnosis.message}", advice)
