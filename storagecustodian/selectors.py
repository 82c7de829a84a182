"""Reads of checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from agenthub.core.errors import CheckpointCorrupt, CheckpointForbidden, CheckpointNotFound
from storagecustodian.models import AgentLine, Checkpoint, Restore
from storagecustodian.rules.envelope import Envelope, Packed, envelope_of, unpacked
from storagecustodian.rules.lineage import MOST_STRETCHES, Stretch, Turn, lineage

MOST_SKIPPED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checkpoint with its state, and which newer ones were found to be damaged."""

    checkpoint: Checkpoint
    envelope: Envelope
    line: AgentLine  # of the agent, as it stands
    corrupt_skipped: tuple[str, ...] = ()


def checkpoints(*, agent_id: str = "", task_id: str = "", kind: str = "", label: str = "") -> QuerySet[Checkpoint]:
    """Checkpoints without their bodies, newest first; only those of an agent, task, kind or label if it is named."""
    named = {"agent_id": agent_id, "task_id": task_id, "kind": kind, "label": label}
    found = Checkpoint.objects.filter(**{column: value for column, value in named.items() if value}).defer("body")
    return found.order_by("-sequence") if agent_id else found.order_by("-created_at", "-id")


def checkpoint_named(checkpoint_id: str, *, agent_id: str | None = None) -> Checkpoint:
    """One checkpoint without its body. Raises CheckpointNotFound, and CheckpointForbidden if it is not `agent_id`'s."""
    return _one(Checkpoint.objects.defer("body"), checkpoint_id, agent_id)


def checkpoint_load(checkpoint_id: str, *, agent_id: str | None = None, any_version: bool = False) -> Loaded:
    """One checkpoint with its state.

    Raises CheckpointNotFound, CheckpointForbidden, CheckpointCorrupt, UnsupportedVersion.
    """
    checkpoint = _one(Checkpoint.objects.all(), checkpoint_id, agent_id)
    envelope = envelope_of(document_of(checkpoint), any_version=any_version)
    return Loaded(checkpoint=checkpoint, envelope=envelope, line=line_of(checkpoint.agent_id))


def _one(rows: QuerySet[Checkpoint], checkpoint_id: str, agent_id: str | None) -> Checkpoint:
    found = None if "\0" in checkpoint_id else rows.filter(id=checkpoint_id).first()
    if found is None:
        raise CheckpointNotFound(f"There is no checkpoint {checkpoint_id[:40]!r}.", param="id")
    if agent_id is not None and found.agent_id != agent_id:
        raise CheckpointForbidden(f"The checkpoint {found.id} is another agent's.", param="id")
    return found


def document_of(checkpoint: Checkpoint) -> bytes:
    """The bytes that were saved. Raises CheckpointCorrupt."""
    body = bytes(checkpoint.body)
    return unpacked(Packed(body, checkpoint.encoding, checkpoint.size, checkpoint.sha256))


def line_of(agent_id: str) -> AgentLine:
    """The counters of an agent; zeros for one that has saved nothing."""
    return AgentLine.objects.filter(agent_id=agent_id).first() or AgentLine(agent_id=agent_id)


def stretches(agent_id: str, epoch: int) -> tuple[Stretch, ...]:
    """What counts of an agent's checkpoints."""
    if epoch == 0:
        return (Stretch(0, None),)
    rows = Restore.objects.filter(agent_id=agent_id).order_by("-epoch")[:MOST_STRETCHES]
    turns = [Turn(row.epoch, row.from_epoch, row.from_sequence) for row in rows]
    return lineage(epoch, turns)


def on_line(agent_id: str, parts: Sequence[Stretch]) -> QuerySet[Checkpoint]:
    """The checkpoints that count, newest first."""
    counted = Q()
    for part in parts:
        counted |= Q(epoch=part.epoch) if part.until is None else Q(epoch=part.epoch, sequence__lte=part.until)
    return Checkpoint.objects.filter(counted, agent_id=agent_id).order_by("-sequence")


def head(agent_id: str, *, task_id: str = "", line: AgentLine | None = None) -> Checkpoint | None:
    """The newest checkpoint that counts, without its body; of a task where one is named."""
    line = line or line_of(agent_id)
    rows = on_line(agent_id, stretches(agent_id, line.epoch)).defer("body")
    return (rows.filter(task_id=task_id) if task_id else rows).first()


def latest_of_agent(agent_id: str, *, task_id: str = "", any_version: bool = False) -> Loaded:
    """The newest state of an agent, of one task of it where one is named, by sequence.

    What is damaged is passed over; the answer says so. Raises CheckpointNotFound, CheckpointCorrupt (nothing is
    whole), UnsupportedVersion.
    """
    line = line_of(agent_id)
    rows = on_line(agent_id, stretches(agent_id, line.epoch))
    return _first_whole(rows.filter(task_id=task_id) if task_id else rows, line, any_version=any_version)


def latest_of_task(task_id: str, *, any_version: bool = False) -> Loaded:
    """The newest state of a task, whichever agent saved it. Raises as `latest_of_agent` does."""
    agents = set(Checkpoint.objects.filter(task_id=task_id).values_list("agent_id", flat=True).order_by().distinct())
    heads = [one for agent_id in agents if (one := head(agent_id, task_id=task_id)) is not None]
    if not heads:
        raise CheckpointNotFound(f"The task {task_id[:100]} has no checkpoint.")
    newest = max(heads, key=lambda one: (one.created_at, one.sequence))
    return latest_of_agent(newest.agent_id, task_id=task_id, any_version=any_version)


def _first_whole(rows: QuerySet[Checkpoint], line: AgentLine, *, any_version: bool) -> Loaded:
    skipped: list[str] = []
    below: int | None = None
    # One at a time, since almost always the first is whole and each may be large.
    while len(skipped) < MOST_SKIPPED:
        checkpoint = (rows if below is None else rows.filter(sequence__lt=below)).first()
        if checkpoint is None:
            break
        below = checkpoint.sequence
        try:
            envelope = envelope_of(document_of(checkpoint), any_version=any_version)
        except CheckpointCorrupt:
            skipped.append(checkpoint.id)
            continue
        return Loaded(checkpoint=checkpoint, envelope=envelope, line=line, corrupt_skipped=tuple(skipped))
    if skipped:
        raise CheckpointCorrupt(f"No checkpoint of {line.agent_id} is whole; {len(skipped)} are damaged.")
    raise CheckpointNotFound(f"{line.agent_id} has no checkpoint.")
