"""`agenthub heartbeat status`."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand, table
from heartbeat.models import Component
from heartbeat.rules.lateness import Overall
from heartbeat.selectors import components, pulse

EXIT_CODES = {Overall.HEALTHY: 0, Overall.DEGRADED: 1, Overall.UNKNOWN: 1, Overall.ERROR: 2}
COLUMNS = ("name", "kind", "status", "last_seen", "note")


class Command(HouseCommand):
    """Signs of life on the command line. Exit codes: 0 healthy, 1 degraded or unknown, 2 error."""

    help = "Show whether all components give signs of life."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        status = words.add_parser("status", help="Show every component, and how all together are.")
        status.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")

    def act(self, **options: Any) -> None:
        """Show it, and end with the code that says it."""
        try:
            found, rows = pulse(), [_row(component) for component in components()]
        except DatabaseError as problem:
            raise CommandError(f"The database does not answer: {str(problem).strip()}", returncode=2) from None
        answer = {
            "timestamp": utc_now().isoformat(),
            "status": found.status.value,
            "components": found.counts,
            "last_heartbeat": found.last_heartbeat,
            "list": rows,
        }
        text = (
            f"{table(COLUMNS, rows)}\n\nAll together: {found.status}" if rows else f"No component yet: {found.status}"
        )
        self.say(answer, text, as_json=options["json"])
        if EXIT_CODES[found.status]:
            raise SystemExit(EXIT_CODES[found.status])


def _row(component: Component) -> dict[str, Any]:
    seen = component.last_seen
    return {
        "name": component.name,
        "kind": component.kind,
        "status": str(component.status),
        "last_seen": seen.isoformat(timespec="seconds") if seen else None,
        "note": component.note,
    }
