"""`agenthub import-sidecar FILE`."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand, table
from providers.rules.sidecar import key_read
from providers.services.sidecar import OUTCOMES, Report, sidecar_contents, sidecar_import
from providers.sidecar_file import sidecar_opened

THEIR_KEY, OUR_KEY = "SIDECAR_ENCRYPTION_KEY", "AGENTHUB_ENCRYPTION_KEY"


class Command(HouseCommand):
    """Everything of a Sidecar V2, or nothing; to be run as often as one likes."""

    help = (
        "Bring over backends, mappings, usage, cooldown history and configuration of a Sidecar V2. "
        f"Its file is only read, also while it runs; {THEIR_KEY} holds its encryption key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file."""
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="Sidecar's SQLite database.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done, and write nothing.")

    def act(self, **options: Any) -> None:
        """Read, translate, write, report."""
        _refuse_unprepared()
        text = os.environ.get(THEIR_KEY, "").strip()
        if text and settings.ENVIRONMENT.distributed and not os.environ.get(OUR_KEY):
            raise CommandError(f"Set {OUR_KEY} to this hub's own key: {THEIR_KEY} is the key of the Sidecar here.")
        with sidecar_opened(options["file"]) as tables:
            contents = sidecar_contents(tables, key=key_read(text) if text else None, now=utc_now())
        report = sidecar_import(contents, dry_run=options["dry_run"])
        answer = {
            "dry_run": options["dry_run"],
            "counts": {kind: {each: counts[each] for each in OUTCOMES} for kind, counts in report.counts.items()},
            "notes": report.notes,
        }
        self.say(answer, _text(report, dry_run=options["dry_run"]), as_json=options["json"])


def _refuse_unprepared() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("This hub's database is not ready; start the hub once, or run “agenthub prepare”.")


def _text(report: Report, *, dry_run: bool) -> str:
    rows = [{"what": kind} | {each: counts[each] for each in OUTCOMES} for kind, counts in report.counts.items()]
    lines = [table(("what", *OUTCOMES), rows), *report.notes]
    return "\n".join([*lines, "A dry run: nothing was written."] if dry_run else lines)
