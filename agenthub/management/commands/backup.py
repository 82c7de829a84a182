"""`agenthub backup`: make one, list those that are there, or verify one."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand, table
from heartbeat.backups.archive import Backup, backup_named, backups
from heartbeat.backups.faults import BackupError
from heartbeat.backups.making import backup_make, backup_verify

COLUMNS = ("name", "made_at", "database", "why", "size_mb", "version")


class Command(HouseCommand):
    """Safe while serving."""

    help = "Back up database and journal into AGENTHUB_BACKUP_DIR. The encryption key is not inside."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of three things to do."""
        super().add_arguments(parser)
        one = parser.add_mutually_exclusive_group()
        one.add_argument("--list", action="store_true", help="Only show the backups that are there.")
        one.add_argument("--verify", metavar="NAME", help="Only open a backup and look whether all of it is whole.")

    def act(self, **options: Any) -> None:
        """Do it."""
        try:
            self._act(**options)
        except BackupError as problem:
            raise CommandError(str(problem)) from None

    def _act(self, **options: Any) -> None:
        folder, as_json = settings.ENVIRONMENT.backup_dir, options["json"]
        if options["list"]:
            rows = [_row(backup) for backup in backups(folder)]
            self.say(rows, table(COLUMNS, rows), as_json=as_json)
        elif options["verify"]:
            backup = backup_named(folder, options["verify"])
            backup_verify(backup)
            self.say(_row(backup), f"{backup.name} is whole.", as_json=as_json)
        else:
            made = backup_make(now=utc_now(), why="asked")
            text = (
                f"{made.folder} is made and verified. The encryption key ({made.key_id}) is not inside: "
                "keep a copy of it elsewhere."
            )
            self.say(_row(made), text, as_json=as_json)


def _row(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "made_at": backup.made_at.isoformat(),
        "database": backup.database,
        "why": backup.why,
        "size_mb": round(backup.size_bytes / 1024**2, 1),
        "version": backup.version,
        "encryption_key_inside": False,
        "encryption_key_id": backup.key_id,
    }
