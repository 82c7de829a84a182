"""`agenthub backends list|test|enable|disable|clear-cooldown|export|import`."""

import os
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from agenthub.core.commands import HouseCommand, table
from agenthub.core.errors import NotFound
from providers.models import Backend
from providers.probes import backends_test
from providers.rules.entries import MOST_BYTES, Format, entries_read, entries_written, format_of
from providers.rules.table import ErrorKind
from providers.selectors import api_key_masked, backends_with_mappings
from providers.services.backends import backend_enable, backend_error_clear
from providers.services.cooldowns import cooldown_clear
from providers.services.entries import entries_apply, entries_of

COLUMNS = ("id", "name", "pool", "status", "api_base_url", "api_key", "models", "cooldown_until", "error")
NAMED = {
    "list": "Show backends, all if none is named.",
    "test": "Call upstreams, all if none is named.",
    "enable": "Let them be used.",
    "disable": "Let no request go to them.",
    "clear-cooldown": "End their cooldowns, and errors that an operator may clear.",
}
TRANSFERS = {
    "export": "Write all backends to a file, or to the standard output.",
    "import": "Create or update backends by name out of a file, all of them or none.",
}
PRIVATE_FILE = 0o600


class Command(HouseCommand):
    """Backends on the command line; a backend is named by its id or its name."""

    help = "List, test, enable or disable backends, end their cooldowns, or write them to a file and read them back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do, the others to which backends."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        for word, text in NAMED.items():
            one = words.add_parser(word, help=text)
            one.add_argument("backends", nargs="*", metavar="backend", help="Ids or names.")
            self._offer_json(one)
        for word, text in TRANSFERS.items():
            one = words.add_parser(word, help=text)
            one.add_argument("file", nargs="?" if word == "export" else None, help="Its name tells the format.")
            one.add_argument(
                "--format", choices=[kind.value for kind in Format], help="Where the name tells none; json unless told."
            )
            self._offer_json(one)
            if word == "export":
                one.add_argument(
                    "--with-keys", action="store_true", help="API keys and the other secrets in the clear."
                )

    def _offer_json(self, parser: ArgumentParser) -> None:
        # Before the word and after it; the one must not undo the other.
        parser.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")

    def act(self, **options: Any) -> None:
        """Do it to every backend named."""
        if options["action"] in TRANSFERS:
            self._transfer(**options)
            return
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

    def _transfer(self, **options: Any) -> None:
        name: str | None = options["file"]
        kind = Format(options["format"] or format_of(name or "") or Format.JSON)
        file = Path(name) if name is not None else None
        try:
            if options["action"] == "export":
                self._export(file, kind, with_keys=options["with_keys"])
            elif file is not None:
                self._import(file, kind, as_json=options["json"])
        except OSError as problem:
            raise CommandError(f"{name} can't be used: {problem.strerror}.") from None

    def _import(self, file: Path, kind: Format, *, as_json: bool) -> None:
        with file.open("rb") as stream:
            applied = entries_apply(entries_read(stream.read(MOST_BYTES + 1), kind))
        rows = [asdict(each) for each in applied]
        self.say(rows, table(("id", "name", "outcome"), rows), as_json=as_json)
        for each in applied:
            for note in each.notes:
                self.stderr.write(f"{each.name}: {note}")

    def _export(self, file: Path | None, kind: Format, *, with_keys: bool) -> None:
        backends = backends_with_mappings().order_by("name")
        text = entries_written(entries_of(backends, with_keys=with_keys), kind)
        if file is None:
            self.stdout.write(text, ending="")
            return
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            # A file that was there already may be open to others.
            os.fchmod(handle, PRIVATE_FILE)
            stream.write(text)


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
