"""`agenthub backends list|test|enable|disable|clear-cooldown`."""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from agenthub.core.commands import HouseCommand, table
from agenthub.core.errors import NotFound
from providers.models import Backend
from providers.probes import backends_test
from providers.rules.table import ErrorKind
from providers.selectors import api_key_masked, backends_with_mappings
from providers.services.backends import backend_enable, backend_error_clear
from providers.services.cooldowns import cooldown_clear

COLUMNS = ("id", "name", "pool", "status", "api_base_url", "api_key", "models", "cooldown_until", "error")


class Command(HouseCommand):
    """Backends on the command line; a backend is named by its id or its name."""

    help = "List, test, enable or disable backends, or end their cooldowns."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do, the others to which backends."""
        super().add_arguments(parser)
        parser.add_argument("action", choices=("list", "test", "enable", "disable", "clear-cooldown"))
        parser.add_argument("backends", nargs="*", metavar="backend", help="Ids or names; list and test: all if none.")

    def act(self, **options: Any) -> None:
        """Do it to every backend named."""
        chosen = _chosen(options["backends"], needed=options["action"] not in ("list", "test"))
        as_json: bool = options["json"]
        if options["action"] == "list":
            rows = [_row(backend) for backend in chosen]
            self.say(rows, table(COLUMNS, rows), as_json=as_json)
        elif options["action"] == "test":
            self._test(chosen, as_json)
        else:
            changes = [{"id": b.id, "name": b.name, "changed": ACTIONS[options["action"]](b.id)} for b in chosen]
            self.say(changes, table(("id", "name", "changed"), changes), as_json=as_json)

    def _test(self, chosen: list[Backend], as_json: bool) -> None:
        rows = []
        for backend, tested in zip(chosen, backends_test(chosen), strict=True):
            rows.append({"id": backend.id, "name": backend.name, "ok": tested.ok, **asdict(tested)})
        flat = [row | {"message": row["diagnosis"]["message"], "models": len(row["models"])} for row in rows]
        text = table(("id", "name", "ok", "status_code", "latency_ms", "models", "message"), flat)
        self.say(rows, text, as_json=as_json)
        failed = [row["name"] for row in rows if not row["ok"]]
        if failed:
            raise CommandError(f"{len(failed)} of {len(rows)} backends failed: {', '.join(failed)}.")


def _chosen(names: list[str], *, needed: bool) -> list[Backend]:
    backends = list(backends_with_mappings().order_by("pool__order", "name"))
    if not names and needed:
        raise CommandError("Name at least one backend, by id or name.", returncode=2)
    known = {backend.id: backend for backend in backends} | {backend.name: backend for backend in backends}
    missing = [name for name in names if name not in known]
    if missing:
        raise NotFound(f"There is no backend {missing[0]}; “agenthub backends list” shows them.")
    return [known[name] for name in names] if names else backends


def _row(backend: Backend) -> dict[str, Any]:
    return {
        "id": backend.id,
        "name": backend.name,
        "pool": backend.pool.name,
        "status": backend.status,
        "api_base_url": backend.api_base_url,
        "api_key": api_key_masked(backend),
        "models": len(backend.mappings.all()),
        "cooldown_until": backend.cooldown_until,
        "error": backend.error_reason or None,
    }


def _clear(backend_id: str) -> bool:
    backend_error_clear(backend_id, kinds=(ErrorKind.CREDENTIALS, ErrorKind.QUOTA))
    return cooldown_clear(backend_id)


ACTIONS: dict[str, Callable[[str], bool]] = {
    "enable": lambda backend_id: backend_enable(backend_id, enabled=True),
    "disable": lambda backend_id: backend_enable(backend_id, enabled=False),
    "clear-cooldown": _clear,
}
