"""`agenthub doctor`: look at everything that a hub needs, and say what to do."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand
from agenthub.core.params import default_of
from agenthub.core.settings_store import runtime_settings
from agenthub.doctor import machine, others
from agenthub.doctor.finding import Finding

SIGNS = {"ok": "ok", "warning": "WARNING", "failed": "FAILED", "skipped": "-"}


class Command(HouseCommand):
    """Changes nothing but what tests of backends find out. Exit code 1 where something has failed."""

    help = "Check configuration, database, Redis, clock, disk, files, key, backups and backends, and say what to do."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to leave out, and what to remember."""
        super().add_arguments(parser)
        parser.add_argument("--offline", action="store_true", help="Call no backend.")
        parser.add_argument(
            "--key-noted", action="store_true", help="Say that somebody has a copy of the encryption key elsewhere."
        )

    def act(self, **options: Any) -> None:
        """Look, and report."""
        if options["key_noted"]:
            machine.note_key()
        found = list(_findings(offline=options["offline"]))
        self.say([asdict(each) for each in found], "\n".join(map(_line, found)), as_json=options["json"])
        bad = sum(each.level == "failed" for each in found)
        if bad:
            raise CommandError(f"{bad} of {len(found)} checks have failed.")


def _findings(*, offline: bool) -> Iterator[Finding]:
    yield from machine.configuration()
    yield machine.reverse_proxy()
    yield from others.database()
    yield others.redis()
    yield others.clock()
    yield from machine.disk()
    yield machine.permissions()
    yield machine.encryption_key()
    yield machine.newest_backup(now=utc_now(), days=_backup_days())
    if not offline:
        yield from others.backends()


def _backup_days() -> int:
    try:
        return runtime_settings().backup_retention_days
    except DatabaseError:
        return int(default_of("backup_retention_days"))


def _line(finding: Finding) -> str:
    line = f"{SIGNS[finding.level]:<8} {finding.check:<15} {finding.what}"
    return f"{line}\n{'':24} → {finding.advice}" if finding.advice else line
