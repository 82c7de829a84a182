"""Checkpoints as lines of JSON, to carry them to another hub, and folders of older files."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from agenthub.core.errors import BadRequest, CheckpointCorrupt, Refused
from agenthub.core.settings_store import runtime_settings
from storagecustodian.durable import durable
from storagecustodian.models import Checkpoint
from storagecustodian.rules.envelope import Envelope, dumped, envelope_in, packed
from storagecustodian.rules.kinds import Kind
from storagecustodian.rules.paths import legacy_name
from storagecustodian.selectors import document_of
from storagecustodian.services.saving import Draft, draft_insert, draft_keep, draft_of, line_locked

FORMAT = "agenthub-checkpoints"
VERSION = "1.0"
MOST_IN_BUNDLE = 10_000
_ABOUT = ("kind", "label", "note", "pinned", "task_id", "status", "agent_name", "agent_type", "iteration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one checkpoint of an import."""

    source: str  # its id, or the name of its file
    outcome: str  # "imported", "there already" or "refused"
    id: str = ""
    agent_id: str = ""
    message: str = ""


def bundle_lines(rows: QuerySet[Checkpoint]) -> Iterator[bytes]:
    """A bundle, oldest first: a head, then a line for each checkpoint. Raises CheckpointCorrupt."""
    ids = list(rows.order_by("agent_id", "sequence").values_list("id", flat=True)[:MOST_IN_BUNDLE])
    yield dumped({"format": FORMAT, "version": VERSION, "count": len(ids)}) + b"\n"
    for checkpoint_id in ids:
        checkpoint = Checkpoint.objects.filter(id=checkpoint_id).first()
        if checkpoint is not None:
            yield _line(checkpoint) + b"\n"


def _line(checkpoint: Checkpoint) -> bytes:
    about = {name: getattr(checkpoint, name) for name in _ABOUT}
    about |= {"id": checkpoint.id, "agent_id": checkpoint.agent_id, "sequence": checkpoint.sequence}
    about |= {"created_at": checkpoint.created_at.isoformat(), "sha256": checkpoint.sha256}
    return b'{"checkpoint":' + dumped(about) + b',"document":' + document_of(checkpoint) + b"}"


def bundle_import(lines: Iterable[bytes], *, agent_id: str = "") -> list[Outcome]:
    """Keep what is in a bundle, all of it or nothing; for another agent where one is named.

    What is there already, by agent and hash, is left alone. Raises BadRequest, CheckpointCorrupt,
    UnsupportedVersion, CheckpointTooLarge.
    """
    drafts = [_draft(line, number, agent_id) for number, line in enumerate(_entries(lines), 2)]
    with durable():
        return [_kept(draft, source) for draft, source in drafts]


def _entries(lines: Iterable[bytes]) -> Iterator[bytes]:
    whole = (line for line in lines if line.strip())
    first = _parsed(next(whole, b""), 1)
    if first.get("format") != FORMAT or str(first.get("version")).partition(".")[0] != "1":
        raise BadRequest(f"This is no bundle of checkpoints of version {VERSION}.")
    found = list(whole)
    if len(found) != first.get("count"):
        raise CheckpointCorrupt(f"The bundle holds {len(found)} checkpoints and says {first.get('count')}.")
    return iter(found)


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest(f"Line {number} is no JSON.") from None
    if not isinstance(parsed, dict):
        raise BadRequest(f"Line {number} is no JSON object.")
    return parsed


def _draft(line: bytes, number: int, agent_id: str) -> tuple[Draft, str]:
    parsed = _parsed(line, number)
    about, document = parsed.get("checkpoint"), parsed.get("document")
    if not isinstance(about, dict) or not isinstance(document, dict):
        raise BadRequest(f"Line {number} holds no checkpoint.")
    if packed(dumped(document)).sha256 != about.get("sha256"):
        raise CheckpointCorrupt(f"The checkpoint in line {number} is damaged: its hash is another one.")
    envelope = envelope_in(document)
    given = {name: about[name] for name in ("label", "note", "pinned", "kind", "task_id", "iteration") if name in about}
    owner = agent_id or str(about.get("agent_id", ""))
    draft = _remade(envelope, owner, _typed(given, number))
    return _as_it_was(draft, document, about), str(about.get("id", ""))[:40]


def _typed(given: dict[str, Any], number: int) -> dict[str, Any]:
    kinds = {"label": str, "note": str, "pinned": bool, "kind": str, "task_id": str, "iteration": int}
    for name, value in given.items():
        if type(value) is not kinds[name]:
            raise BadRequest(f"Line {number}: {name} is of a wrong type.", param=name)
    return {"label": "", "note": "", "pinned": False, "kind": Kind.IMPORTED.value} | given


def _remade(envelope: Envelope, agent_id: str, given: Mapping[str, Any]) -> Draft:
    return draft_of(agent_id=agent_id, state=envelope.state, given=given, values=runtime_settings())


def _as_it_was(draft: Draft, document: Mapping[str, Any], about: Mapping[str, Any]) -> Draft:
    """With the document of the time it was made, so that its hash stays, unless something was redacted here."""
    created_at = parse_datetime(str(about.get("created_at", ""))) or draft.created_at
    if created_at.tzinfo is None:
        created_at = draft.created_at
    if json.loads(draft.document)["state"] != document.get("state"):
        return replace(draft, created_at=created_at)
    same = dumped(document)
    return replace(draft, document=same, packed=packed(same), created_at=created_at)


def _kept(draft: Draft, source: str) -> Outcome:
    line = line_locked(draft.agent_id)
    same = Checkpoint.objects.filter(agent_id=draft.agent_id, sha256=draft.packed.sha256).first()
    if same is not None:
        return Outcome(source=source, outcome="there already", id=same.id, agent_id=draft.agent_id)
    kept = draft_insert(draft, line)
    return Outcome(source=source, outcome="imported", id=kept.id, agent_id=draft.agent_id)


def folder_import(folder: Path) -> list[Outcome]:
    """Keep the older files `{agent id}_{label or YYYYmmdd_HHMMSS}.json` of a folder, oldest first.

    How old one is says its name, else its document; the times of files change when they are copied. What can't be
    read is refused by itself; what is there already is left alone.
    """
    read = [_older_file(path) for path in sorted(folder.glob("*.json"))]
    drafts = sorted((one for one in read if isinstance(one, tuple)), key=lambda one: (one[0].created_at, one[1]))
    refused = [one for one in read if isinstance(one, Outcome)]
    return [_kept_alone(draft, source) for draft, source in drafts] + refused


def _older_file(path: Path) -> tuple[Draft, str] | Outcome:
    try:
        parsed = json.loads(path.read_bytes())
        envelope = envelope_in(parsed)
        name = legacy_name(path.stem, str(envelope.state.get("agent_id", "")))
        kind = Kind.IMPORTED if name.label else Kind.AUTO
        given = {"label": name.label, "note": f"from {path.name}"[:500], "pinned": False, "kind": kind}
        draft = _remade(envelope, name.agent_id, given)
    except Refused as problem:
        return Outcome(source=path.name, outcome="refused", message=problem.message)
    except (OSError, ValueError, RecursionError):
        return Outcome(source=path.name, outcome="refused", message="It can't be read as JSON.")
    said = parse_datetime(envelope.serialized_at) if envelope.serialized_at else None
    at = name.at or (said if said and said.tzinfo else None)
    # One that says nothing of its time gets none, so that it has the same hash whenever it is read.
    stamp = at.isoformat() if at else ""
    document = dumped({"version": envelope.version, "serialized_at": stamp, "state": envelope.state})
    about = {"created_at": stamp}
    return _as_it_was(draft, json.loads(document), about), path.name


def _kept_alone(draft: Draft, source: str) -> Outcome:
    same = Checkpoint.objects.filter(agent_id=draft.agent_id, sha256=draft.packed.sha256).first()
    if same is not None:
        return Outcome(source=source, outcome="there already", id=same.id, agent_id=draft.agent_id)
    kept = draft_keep(draft)
    return Outcome(source=source, outcome="imported", id=kept.id, agent_id=draft.agent_id)
