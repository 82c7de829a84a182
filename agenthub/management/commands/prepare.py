"""`agenthub prepare`: bring the database up to date; on the first start make the admin and the first client key."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agenthub.core.secrets import PRIVATE_FILE
from agenthub.firststart import FirstStart, first_start
from heartbeat.backups.faults import BackupFailed
from heartbeat.backups.sqlite import damage
from providers.services.from_environment import backends_from_environment

MIGRATION_LOCK = 0x6167656E74687562  # "agenthub" as a number: the name of an advisory lock


class Command(BaseCommand):
    """What `agenthub up` runs before it serves. Safe to run at any time, also on several nodes at once."""

    help = "Migrate the database; on the first start create the admin user and the first client key."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate and create under one lock; what was created is printed once and stored nowhere."""
        with _alone():
            _refuse_damaged()
            if _behind():
                call_command("migrate", verbosity=0, interactive=False)
            made = first_start()
            backends_from_environment(os.environ)
        if made is not None:
            self.stdout.write(_words(made))


def _behind() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _refuse_damaged() -> None:
    """A damaged SQLite file is found now, not by the first request that meets the damage. Raises CommandError."""
    file = _sqlite_file()
    if file is None or not file.exists():
        return
    try:
        found = damage(file, quick=True)
    except BackupFailed as problem:
        raise CommandError(str(problem)) from None
    if found:
        raise CommandError(
            f"The database {file} is damaged: {found}. Bring back a backup with “agenthub restore”, which keeps the "
            "damaged file beside it."
        )


def _sqlite_file() -> Path | None:
    """The file of the database; None where it has none (PostgreSQL, or SQLite in memory)."""
    name = str(connection.settings_dict["NAME"])
    return Path(name) if connection.vendor == "sqlite" and Path(name).is_absolute() else None


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time, on however many nodes; the others wait, and find everything done."""
    file = _sqlite_file()
    if connection.vendor == "postgresql":
        with _advisory_lock():
            yield
    elif file is not None:
        with _file_lock(file.with_name(file.name + ".lock")):
            yield
    else:
        yield


@contextmanager
def _advisory_lock() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


@contextmanager
def _file_lock(file: Path) -> Iterator[None]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _words(made: FirstStart) -> str:
    password = made.password or "as given in AGENTHUB_ADMIN_PASSWORD"
    return "\n".join(
        (
            "",
            "This is the first start. These are shown once:",
            f"  Admin user      {made.user}",
            f"  Admin password  {password}",
            f"  Client key      {made.client_key}",
            f"The secrets of this hub are in {settings.ENVIRONMENT.data_dir}; keep a copy of them.",
            "",
        )
    )
