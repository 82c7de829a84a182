"""What the commands of the house have in common."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditlog.context import set_extra_data
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from agenthub.core.errors import Refused


class HouseCommand(BaseCommand):
    """A command whose answer people or, with --json, programs read. Its changes are the command line's in the trail.

    Exit codes: 0 done, 1 not done (with a line on standard error), 2 wrong use.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer --json; subclasses add theirs."""
        parser.add_argument("--json", action="store_true", help="Answer in JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it, with the command line named as the actor of what changes."""
        with set_extra_data({"additional_data": {"actor": "command line"}}):
            try:
                self.act(**options)
            except Refused as problem:
                raise CommandError(problem.message) from None
            except ValidationError as problem:
                raise CommandError(" ".join(problem.messages)) from None

    def act(self, **options: Any) -> None:
        """What the command does."""
        raise NotImplementedError

    def say(self, value: Any, text: str, *, as_json: bool) -> None:
        """Answer `text` to people, `value` to programs."""
        self.stdout.write(json.dumps(value, default=str) if as_json else text)


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows under their column names, aligned; what is None is a dash."""
    lines = [
        [column.replace("_", " ").upper() for column in columns],
        *(["-" if row[column] is None else str(row[column]) for column in columns] for row in rows),
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
