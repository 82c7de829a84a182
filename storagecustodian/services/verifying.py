"""Looking whether what is stored is still what was saved, in the database and in the files beside it."""

from dataclasses import dataclass

from agenthub.core.clock import epoch_seconds
from agenthub.core.errors import CheckpointCorrupt, CheckpointNotFound, UnsupportedVersion
from agenthub.core.settings_store import runtime_settings
from storagecustodian.models import Checkpoint
from storagecustodian.rules.envelope import Packed
from storagecustodian.selectors import document_of
from storagecustodian.services.changing import checkpoints_report_damaged
from storagecustodian.services.saving import Draft, about, checkpoint_files
from storagecustodian.store import CheckpointFiles, FileName

ORPHAN_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found."""

    checked: int
    damaged: tuple[str, ...]
    files_written: int = 0  # that were missing or damaged
    files_removed: int = 0  # that belong to no checkpoint, or were never finished


def checkpoints_verify(*, agent_id: str = "") -> Verified:
    """Check every hash, of one agent or of all; bring the files in line with the database where they are on."""
    checked, damaged, after = 0, [], ""
    rows = Checkpoint.objects.filter(agent_id=agent_id) if agent_id else Checkpoint.objects.all()
    files = checkpoint_files() if runtime_settings().checkpoint_files else None
    written = 0
    while (checkpoint := rows.filter(id__gt=after).order_by("id").first()) is not None:
        after, checked = checkpoint.id, checked + 1
        try:
            document = document_of(checkpoint)
        except CheckpointCorrupt:
            damaged.append(checkpoint.id)
            continue
        written += files is not None and _file_repaired(files, checkpoint, document)
    checkpoints_report_damaged(tuple(damaged))
    removed = _files_swept(files, agent_id) if files else 0
    return Verified(checked=checked, damaged=tuple(damaged), files_written=written, files_removed=removed)


def _file_repaired(files: CheckpointFiles, checkpoint: Checkpoint, document: bytes) -> bool:
    name = FileName(checkpoint.sequence, checkpoint.id)
    try:
        if files.read(checkpoint.agent_id, name, any_version=True).document == document:
            return False
    except (CheckpointNotFound, CheckpointCorrupt, UnsupportedVersion):
        pass
    pending = files.prepare(checkpoint.agent_id, document, about(_draft(checkpoint, document)))
    try:
        pending.publish(name)
    finally:
        pending.discard()
    if not Checkpoint.objects.filter(id=checkpoint.id).exists():  # deleted meanwhile
        files.delete(checkpoint.agent_id, name)
        return False
    return True


def _draft(checkpoint: Checkpoint, document: bytes) -> Draft:
    names = ("kind", "label", "note", "pinned", "task_id", "status", "agent_name", "agent_type", "iteration")
    return Draft(
        id=checkpoint.id,
        agent_id=checkpoint.agent_id,
        document=document,
        packed=Packed(b"", "", checkpoint.size, checkpoint.sha256),
        created_at=checkpoint.created_at,
        columns={name: getattr(checkpoint, name) for name in names},
    )


def _files_swept(files: CheckpointFiles, agent_id: str) -> int:
    removed = 0
    for each in [agent_id] if agent_id else files.agents():
        removed += files.sweep(each, older_than_seconds=ORPHAN_SECONDS)
        known = set(Checkpoint.objects.filter(agent_id=each).values_list("id", flat=True))
        for name in files.names(each):
            # A writer gives the file its name just before it commits the row.
            if name.id not in known and files.age_seconds(each, name, now=epoch_seconds()) > ORPHAN_SECONDS:
                removed += files.delete(each, name)
    return removed
