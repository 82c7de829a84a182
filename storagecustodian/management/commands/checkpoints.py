"""`agenthub checkpoints list|show|save|restore|rollback|diff|prune|verify|export|import`."""

import json
import os
import sys
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from django.core.management.base import CommandError

from agenthub.core.clock import utc_now
from agenthub.core.commands import HouseCommand, table
from agenthub.core.errors import BadRequest
from agenthub.core.settings_store import runtime_settings
from storagecustodian.models import Checkpoint
from storagecustodian.rules.diff import diff
from storagecustodian.rules.envelope import envelope_in
from storagecustodian.rules.retention import Retention
from storagecustodian.selectors import Loaded, checkpoint_load, checkpoints, latest_of_agent
from storagecustodian.services.bundles import Outcome, bundle_import, bundle_lines, folder_import
from storagecustodian.services.changing import checkpoints_report_damaged
from storagecustodian.services.pruning import checkpoints_prune, retention_of
from storagecustodian.services.restoring import Restored, checkpoint_restore, checkpoint_rollback
from storagecustodian.services.saving import checkpoint_save
from storagecustodian.services.verifying import checkpoints_verify

BY = "command line"
PRIVATE_FILE = 0o600
COLUMNS = ("id", "agent_id", "sequence", "epoch", "kind", "label", "task_id", "iteration", "size", "created_at")
Words: TypeAlias = "_SubParsersAction[ArgumentParser]"


class Command(HouseCommand):
    """Checkpoints on the command line."""

    help = "List, show, save, restore, compare, prune, check, export and import checkpoints of agents."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        _offer_reads(words)
        _offer_writes(words)
        _offer_transfers(words)
        for word in words.choices.values():
            # Before the word and after it; the one must not undo the other.
            word.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")

    def act(self, **options: Any) -> None:
        """Do it."""
        try:
            getattr(self, f"_{options['action']}")(options)
        except OSError as problem:
            raise CommandError(f"{problem.filename} can't be used: {problem.strerror}.") from None

    def _list(self, options: dict[str, Any]) -> None:
        found = checkpoints(agent_id=options["agent"], task_id=options["task"])[: options["limit"]]
        rows = [_row(one) for one in found]
        self.say(rows, table(COLUMNS, rows), as_json=options["json"])

    def _show(self, options: dict[str, Any]) -> None:
        anyway = options["any_version"]
        if options["agent"]:
            loaded = latest_of_agent(options["agent"], task_id=options["task"], any_version=anyway)
        elif options["checkpoint"]:
            loaded = checkpoint_load(options["checkpoint"], any_version=anyway)
        else:
            raise CommandError("Name a checkpoint, or an agent with --agent.", returncode=2)
        self._say_state(loaded, options)

    def _say_state(self, loaded: Loaded, options: dict[str, Any]) -> None:
        if loaded.corrupt_skipped:
            checkpoints_report_damaged(loaded.corrupt_skipped)
            self.stderr.write(f"Damaged and passed over: {', '.join(loaded.corrupt_skipped)}.")
        state = json.dumps(loaded.envelope.state, indent=2, ensure_ascii=False)
        row = _row(loaded.checkpoint) | {"corrupt_skipped": list(loaded.corrupt_skipped)}
        text = f"{table(COLUMNS, [row])}\n\n{state}"
        self.say(row | {"state": loaded.envelope.state}, text, as_json=options["json"])

    def _save(self, options: dict[str, Any]) -> None:
        raw = sys.stdin.buffer.read() if options["file"] == "-" else Path(options["file"]).read_bytes()
        try:
            state = envelope_in(json.loads(raw)).state
        except (ValueError, RecursionError):
            raise BadRequest(f"{options['file']} holds no JSON.") from None
        kept = checkpoint_save(agent_id=options["agent"], state=state, label=options["label"], note=options["note"])
        self.say(
            _row(kept), f"{kept.id} is checkpoint {kept.sequence} of agent {kept.agent_id}.", as_json=options["json"]
        )

    def _restore(self, options: dict[str, Any]) -> None:
        done = checkpoint_restore(
            checkpoint_id=options["checkpoint"],
            agent_id=options["agent"] or None,
            by=BY,
            administrator=True,
            reason=options["reason"],
            any_version=options["any_version"],
        )
        self._say_restored(done, options)

    def _rollback(self, options: dict[str, Any]) -> None:
        self._say_restored(
            checkpoint_rollback(agent_id=options["agent"], by=BY, steps=options["steps"], reason=options["reason"]),
            options,
        )

    def _say_restored(self, done: Restored, options: dict[str, Any]) -> None:
        before = done.pre_restore.id if done.pre_restore else None
        kept = f" What was the latest is kept as {before}." if before else ""
        at = done.checkpoint
        text = f"Agent {at.agent_id} is at {at.id} (iteration {at.iteration}), epoch {done.epoch}.{kept}"
        value = {"epoch": done.epoch, "checkpoint": _row(at), "pre_restore": before}
        self.say(value, text, as_json=options["json"])

    def _diff(self, options: dict[str, Any]) -> None:
        before, after = (checkpoint_load(options[name]).envelope.state for name in ("before", "after"))
        found = diff(before, after)
        signs = {"added": "+", "removed": "-", "changed": "~"}
        lines = [f"{signs[one.kind]} {one.path}: {_shown(one.before)} → {_shown(one.after)}" for one in found.changes]
        more = ["There is more than is shown."] if found.more else []
        value = {"changes": [asdict(one) for one in found.changes], "more": found.more}
        self.say(value, "\n".join(lines + more) or "They are equal.", as_json=options["json"])

    def _prune(self, options: dict[str, Any]) -> None:
        base = retention_of(runtime_settings())
        given = {"count": options["keep_count"], "days": options["keep_days"], "size_bytes": options["keep_bytes"]}
        try:
            keep = Retention(**{name: getattr(base, name) if v is None else v for name, v in given.items()})
        except ValueError as problem:
            raise CommandError(str(problem), returncode=2) from None
        done = checkpoints_prune(keep=keep, now=utc_now(), agent_id=options["agent"], dry_run=options["dry_run"])
        rows = [{"agent_id": one.agent_id, "checkpoints": len(one.ids), "bytes": one.bytes} for one in done]
        text = table(("agent_id", "checkpoints", "bytes"), rows) if rows else "There is nothing to delete."
        value = {"dry_run": options["dry_run"], "agents": [asdict(one) for one in done]}
        self.say(value, text, as_json=options["json"])

    def _verify(self, options: dict[str, Any]) -> None:
        found = checkpoints_verify(agent_id=options["agent"])
        text = f"{found.checked} checked, {len(found.damaged)} damaged."
        if found.files_written or found.files_removed:
            text += f" Files: {found.files_written} written again, {found.files_removed} removed."
        self.say(asdict(found), text, as_json=options["json"])
        if found.damaged:
            raise CommandError(f"Damaged: {', '.join(found.damaged[:20])}.")

    def _export(self, options: dict[str, Any]) -> None:
        rows = checkpoints(agent_id=options["agent"], task_id=options["task"])
        if options["file"] is None:
            for line in bundle_lines(rows):
                self.stdout.write(line.decode(), ending="")
            return
        handle = os.open(options["file"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(handle, "wb") as stream:
            # A file that was there already may be open to others.
            os.fchmod(handle, PRIVATE_FILE)
            stream.writelines(bundle_lines(rows))

    def _import(self, options: dict[str, Any]) -> None:
        path = Path(options["path"])
        if path.is_dir():
            if options["agent"]:
                raise CommandError("The files of a folder say themselves whose they are.", returncode=2)
            found = folder_import(path)
        else:
            with path.open("rb") as stream:
                found = bundle_import(stream, agent_id=options["agent"])
        self._say_outcomes(found, options)

    def _say_outcomes(self, found: list[Outcome], options: dict[str, Any]) -> None:
        rows = [asdict(one) for one in found]
        columns = ("source", "outcome", "id", "agent_id", "message")
        self.say(rows, table(columns, rows), as_json=options["json"])
        refused = sum(one.outcome == "refused" for one in found)
        if refused:
            raise CommandError(f"{refused} of {len(found)} were refused.")


def _offer_reads(words: Words) -> None:
    one = words.add_parser("list", help="Checkpoints, newest first.")
    one.add_argument("--agent", default="", help="Only those of an agent.")
    one.add_argument("--task", default="", help="Only those of a task.")
    one.add_argument("--limit", type=int, default=50, help="At most so many; 50 unless told.")
    one = words.add_parser("show", help="A checkpoint with its state, or the latest of an agent.")
    one.add_argument("checkpoint", nargs="?", default="", help="Its id.")
    one.add_argument("--agent", default="", help="The latest of this agent.")
    one.add_argument("--task", default="", help="With --agent: of this task.")
    _offer_any_version(one)
    one = words.add_parser("diff", help="What differs between two states.")
    one.add_argument("before")
    one.add_argument("after")


def _offer_writes(words: Words) -> None:
    one = words.add_parser("save", help="Keep a state out of a file.")
    one.add_argument("agent", help="The id of the agent.")
    one.add_argument("file", help="A JSON document; - for standard input.")
    one.add_argument("--label", default="", help="A name; it moves here from another checkpoint.")
    one.add_argument("--note", default="")
    one = words.add_parser("restore", help="Go back to a checkpoint.")
    one.add_argument("checkpoint", help="Its id.")
    one.add_argument("--agent", default="", help="For this agent, if it is not the checkpoint's own.")
    one.add_argument("--reason", default="")
    _offer_any_version(one)
    one = words.add_parser("rollback", help="Go back by some checkpoints from the latest.")
    one.add_argument("agent", help="The id of the agent.")
    one.add_argument("--steps", type=int, default=1)
    one.add_argument("--reason", default="")
    one = words.add_parser("prune", help="Delete automatic checkpoints that are not to be kept.")
    one.add_argument("--agent", default="", help="Only those of an agent.")
    one.add_argument("--keep-count", type=int, help="Instead of checkpoint_keep_count.")
    one.add_argument("--keep-days", type=float, help="Instead of checkpoint_keep_days.")
    one.add_argument("--keep-bytes", type=int, help="Instead of checkpoint_keep_bytes.")
    one.add_argument("--dry-run", action="store_true", help="Only say what would go.")
    one = words.add_parser("verify", help="Check the hash of every checkpoint.")
    one.add_argument("--agent", default="", help="Only those of an agent.")


def _offer_transfers(words: Words) -> None:
    one = words.add_parser("export", help="Write checkpoints as lines of JSON.")
    one.add_argument("file", nargs="?", help="Standard output unless told.")
    one.add_argument("--agent", default="", help="Only those of an agent.")
    one.add_argument("--task", default="", help="Only those of a task.")
    one = words.add_parser("import", help="Read an export, or a folder of older files.")
    one.add_argument("path", help="The file, or the folder.")
    one.add_argument("--agent", default="", help="Of an export: for this agent.")


def _offer_any_version(one: ArgumentParser) -> None:
    one.add_argument("--any-version", action="store_true", help="Try a document of a version that is not known.")


def _row(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: getattr(checkpoint, name) for name in COLUMNS} | {
        "pinned": checkpoint.pinned,
        "note": checkpoint.note,
    }


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
