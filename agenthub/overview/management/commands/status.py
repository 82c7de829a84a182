"""`agenthub status`: the whole system at a glance."""

from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from agenthub.core.commands import HouseCommand, table
from agenthub.overview.glance import glance
from heartbeat.rules.lateness import Overall


class Command(HouseCommand):
    """Components, pools, journal, queue and alerts. Exit codes: 0 healthy, 1 degraded or unknown, 2 error."""

    help = "Show the whole system at a glance."

    def act(self, **options: Any) -> None:
        """Show it, and end with the code that says it."""
        try:
            found = glance()
        except DatabaseError as problem:
            raise CommandError(f"The database does not answer: {str(problem).strip()}", returncode=2) from None
        self.say(found, _words(found), as_json=options["json"])
        if found["status"] != Overall.HEALTHY:
            raise SystemExit(2 if found["status"] == Overall.ERROR else 1)


def _words(found: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in found["components"].items() if count and name != "total")
    journal, queue = found["journal"], found["queue"]
    lines = [
        f"AgentHub {found['version']}: {found['status']}",
        f"Components  {found['components']['total']}{f': {counts}' if counts else ''}",
        *(f"  {each['name']} is {each['status']}{_because(each['note'])}" for each in found["troubled"]),
        f"Journal     {journal['bytes']} bytes in {journal['segments']} segments, room for {journal['max_bytes']}",
        "Queue       " + (f"{queue['waiting']} waiting, {queue['in_flight']} in flight" if queue else "not known"),
        f"Alerts      {found['open_alerts']} open",
        *(f"  {alert['severity']}: {alert['summary']}" for alert in found["alerts"]),
        "",
        table(("name", "strategy", "total", "enabled", "healthy", "cooling", "error"), found["pools"]),
    ]
    return "\n".join(lines)


def _because(note: str) -> str:
    return f": {note}" if note else ""
