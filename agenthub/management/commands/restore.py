"""`agenthub restore NAME`: put a backup in the place of what is there. The hub must not run."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand
from agenthub.core.secrets import private_folder
from agenthub.hub.services.participants import epoch_renew
from agenthub.up.hublock import HubLock
from agenthub.up.preflight import CantStart
from heartbeat.backups.archive import backup_named
from heartbeat.backups.faults import BackupError
from heartbeat.backups.restoring import backup_restore


class Command(HouseCommand):
    """Keeps what it replaces, and says where."""

    help = "Bring back a backup of AGENTHUB_BACKUP_DIR. Refuses while a hub runs; keeps what it replaces."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The backup."""
        super().add_arguments(parser)
        parser.add_argument("name", help="As “agenthub backup --list” shows it.")

    def act(self, **options: Any) -> None:
        """Take the data folder, restore, let go."""
        environment = settings.ENVIRONMENT
        private_folder(environment.data_dir)
        try:
            backup = backup_named(environment.backup_dir, options["name"])
            lock = HubLock(environment.data_dir)
        except (BackupError, CantStart) as problem:
            raise CommandError(str(problem)) from None
        try:
            done = backup_restore(backup, now=utc_now())
        except BackupError as problem:
            raise CommandError(str(problem)) from None
        finally:
            lock.release()
        _begin_epoch()
        lines = [f"{done.backup} is restored. The next start migrates it where it is older than the code."]
        lines += [f"Kept: {path}" for path in done.kept]
        lines += [f"Warning: {warning}" for warning in done.warnings]
        self.say(asdict(done), "\n".join(lines), as_json=options["json"])


def _begin_epoch() -> None:
    """Agents know numbers that the restored inboxes have not given out: they are told that it is another time."""
    try:
        epoch_renew()
    except DatabaseError:
        connection.close()  # a backup of before there were inboxes; its migration begins one
