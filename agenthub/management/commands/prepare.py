"""`agenthub prepare`: bring the database up to date; on the first start make the admin and the first client key."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agenthub.firststart import FirstStart, first_start
from providers.services.from_environment import backends_from_environment

MIGRATION_LOCK = 0x6167656E74687562  # "agenthub" as a number: the name of an advisory lock


class Command(BaseCommand):
    """What `agenthub up` runs before it serves. Safe to run at any time, also on several nodes at once."""

    help = "Migrate the database; on the first start create the admin user and the first client key."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate and create under one lock; what was created is printed once and stored nowhere."""
        with _alone():
            if _behind():
                call_command("migrate", verbosity=0, interactive=False)
            made = first_start()
            backends_from_environment(os.environ)
        if made is not None:
            self.stdout.write(_words(made))


def _behind() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def _alone() -> Iterator[None]:
    """One node at a time. An embedded hub is alone on its data folder already."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


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
