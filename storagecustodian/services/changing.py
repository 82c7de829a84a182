"""What people change about a checkpoint: its label, pin and note, and that it is there at all."""

from functools import partial
from typing import Any

from auditlog.models import LogEntry
from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.core.errors import CheckpointCorrupt
from agenthub.core.events import AlertRaised, publish
from storagecustodian.models import Checkpoint
from storagecustodian.models.checkpoint import LONGEST_LABEL, LONGEST_NOTE
from storagecustodian.rules.paths import storable_text
from storagecustodian.selectors import checkpoint_named, document_of
from storagecustodian.services.saving import checkpoint_files, line_locked
from storagecustodian.store import FileName


@transaction.atomic
def checkpoint_update(
    *,
    checkpoint_id: str,
    agent_id: str | None = None,
    label: str | None = None,
    pinned: bool | None = None,
    note: str | None = None,
) -> Checkpoint:
    """Change what is not None; a label that another checkpoint of the agent has moves here.

    Raises CheckpointNotFound, CheckpointForbidden where it is not `agent_id`'s, StateNotStorable.
    """
    checkpoint = checkpoint_named(checkpoint_id, agent_id=agent_id)
    line_locked(checkpoint.agent_id)
    wanted = {"label": label, "pinned": pinned, "note": note}
    changes = {name: value for name, value in wanted.items() if value is not None}
    storable_text(changes.get("label", ""), "label", longest=LONGEST_LABEL, empty=True)
    storable_text(changes.get("note", ""), "note", longest=LONGEST_NOTE, empty=True)
    before = {name: getattr(checkpoint, name) for name in changes}
    if label:
        Checkpoint.objects.filter(agent_id=checkpoint.agent_id, label=label).exclude(id=checkpoint.id).update(label="")
    if changes and Checkpoint.objects.filter(id=checkpoint.id).update(**changes):
        trail(checkpoint, LogEntry.Action.UPDATE, {name: [before[name], changes[name]] for name in changes})
    return checkpoint_named(checkpoint_id)


@transaction.atomic
def checkpoint_delete(*, checkpoint_id: str, agent_id: str | None = None) -> None:
    """Delete a checkpoint, also a labelled or pinned one. Raises CheckpointNotFound, CheckpointForbidden."""
    checkpoint = checkpoint_named(checkpoint_id, agent_id=agent_id)
    line_locked(checkpoint.agent_id)
    if Checkpoint.objects.filter(id=checkpoint.id).delete()[0]:
        trail(checkpoint, LogEntry.Action.DELETE, {"sequence": [checkpoint.sequence, None]})
    transaction.on_commit(partial(file_forget, checkpoint))


def file_forget(checkpoint: Checkpoint) -> None:
    """Remove the file of a checkpoint that was deleted, if it has one."""
    checkpoint_files().delete(checkpoint.agent_id, FileName(checkpoint.sequence, checkpoint.id))


def trail(checkpoint: Checkpoint, action: int, changes: dict[str, list[Any]]) -> None:
    """Put a person's change into the audit trail: updates and deletions by statement leave none by themselves."""
    shown = {name: [str(value) for value in values] for name, values in changes.items()}
    LogEntry.objects.log_create(checkpoint, force_log=True, action=action, changes=shown)


def checkpoints_report_damaged(ids: tuple[str, ...]) -> int:
    """Note that the hashes of these are wrong, and tell people; how many of them are damaged indeed."""
    damaged = [one for one in Checkpoint.objects.filter(id__in=ids) if not _whole(one)]
    if not damaged:
        return 0
    Checkpoint.objects.filter(id__in=[one.id for one in damaged], damaged_at=None).update(damaged_at=utc_now())
    for one in damaged:
        event = AlertRaised(
            rule="checkpoint_corrupt",
            severity="critical",
            source=f"checkpoint:{one.id}",
            summary=f"The checkpoint {one.id} of agent {one.agent_id[:60]} is damaged; the one before it is used.",
            details={"agent_id": one.agent_id, "sequence": one.sequence},
        )
        transaction.on_commit(partial(publish, event))
    return len(damaged)


def _whole(checkpoint: Checkpoint) -> bool:
    try:
        document_of(checkpoint)
    except CheckpointCorrupt:
        return False
    return True
