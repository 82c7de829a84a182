"""Keeping a state: hashed in memory, then a file where files are on, then one transaction, then acknowledged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from agenthub.core.clock import utc_now
from agenthub.core.errors import CheckpointTooLarge, StaleEpoch, StateNotStorable
from agenthub.core.ids import short_id
from agenthub.core.params import RuntimeSettings
from agenthub.core.retries import retried
from agenthub.core.settings_store import runtime_settings
from agenthub.core.statepaths import paths_in
from storagecustodian.durable import durable
from storagecustodian.models import AgentLine, Checkpoint
from storagecustodian.models.checkpoint import LONGEST_LABEL, LONGEST_NOTE, LONGEST_STATUS
from storagecustodian.rules.envelope import Packed, envelope_bytes, packed
from storagecustodian.rules.kinds import Kind, auto_due
from storagecustodian.rules.paths import LONGEST_ID, storable_text
from storagecustodian.rules.redaction import redacted
from storagecustodian.selectors import line_of
from storagecustodian.store import CheckpointFiles, FileName, PendingFile

MOST_ITERATIONS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A checkpoint that was made in memory and not yet kept."""

    id: str
    agent_id: str
    document: bytes
    packed: Packed
    created_at: datetime
    columns: Mapping[str, Any] = field(default_factory=dict)


def checkpoint_save(
    *,
    agent_id: str,
    state: Mapping[str, Any],
    kind: str = Kind.MANUAL,
    label: str = "",
    note: str = "",
    pinned: bool = False,
    epoch: int | None = None,
    task_id: str | None = None,
    iteration: int | None = None,
) -> Checkpoint:
    """Keep a state; it is on the disk when this comes back.

    Task, status and iteration are those in the state unless given. A label that another checkpoint of the agent has
    moves here. Raises StateNotStorable, CheckpointTooLarge, StaleEpoch where `epoch` is not the agent's, and
    CheckpointsFull; nothing is kept then.
    """
    given = {"label": label, "note": note, "pinned": pinned, "kind": kind}
    given |= {"task_id": task_id} if task_id is not None else {}
    given |= {"iteration": iteration} if iteration is not None else {}
    draft = draft_of(agent_id=agent_id, state=state, given=given, values=runtime_settings())
    return draft_keep(draft, epoch=epoch)


def checkpoint_auto(*, agent_id: str, state: Mapping[str, Any], epoch: int | None = None) -> Checkpoint | None:
    """Keep a state if its iteration is so far from the last automatic checkpoint that one is due; None if not."""
    reached = _iteration(state)
    if not auto_due(reached, line_of(agent_id).auto_iteration, runtime_settings().checkpoint_auto_iterations):
        return None
    return checkpoint_save(agent_id=agent_id, state=state, kind=Kind.AUTO, epoch=epoch)


def draft_of(*, agent_id: str, state: Mapping[str, Any], given: Mapping[str, Any], values: RuntimeSettings) -> Draft:
    """A state made ready: checked, redacted, written as JSON, hashed. Raises StateNotStorable, CheckpointTooLarge."""
    at = utc_now()
    storable_text(agent_id, "agent_id")
    document = envelope_bytes(redacted(state, paths_in(values.checkpoint_redact_paths)), at=at)
    if len(document) > values.checkpoint_max_bytes:
        raise CheckpointTooLarge(
            f"The checkpoint has {len(document)} bytes; checkpoint_max_bytes is {values.checkpoint_max_bytes}."
        )
    return Draft(
        id=short_id("ckp"),
        agent_id=agent_id,
        document=document,
        packed=packed(document),
        created_at=at,
        columns=_columns(state) | _checked(given),
    )


def draft_keep(draft: Draft, *, epoch: int | None = None) -> Checkpoint:
    """Keep a draft. Raises StaleEpoch, CheckpointsFull."""
    pending = _pending(draft)
    try:
        return retried(lambda: _keep(draft, pending, epoch))
    finally:
        if pending is not None:
            pending.discard()


def _keep(draft: Draft, pending: PendingFile | None, epoch: int | None) -> Checkpoint:
    try:
        with durable():
            line = line_locked(draft.agent_id)
            if epoch is not None and epoch != line.epoch:
                raise StaleEpoch(
                    f"{draft.agent_id} is at epoch {line.epoch}, not {epoch}: load the latest checkpoint first.",
                    param="epoch",
                )
            return draft_insert(draft, line, pending)
    except BaseException:
        if pending is not None:
            pending.withdraw()
        raise


def line_locked(agent_id: str) -> AgentLine:
    """The counters of an agent, which nobody else changes until this transaction ends."""
    line = AgentLine.objects.select_for_update().filter(agent_id=agent_id).first()
    if line is None:
        AgentLine.objects.bulk_create([AgentLine(agent_id=agent_id)], ignore_conflicts=True)
        line = AgentLine.objects.select_for_update().get(agent_id=agent_id)
    return line


def draft_insert(draft: Draft, line: AgentLine, pending: PendingFile | None = None) -> Checkpoint:
    """Insert a draft as the newest of its agent, whose line is locked."""
    line.sequence += 1
    if draft.columns["kind"] == Kind.AUTO:
        line.auto_iteration = draft.columns["iteration"]
    AgentLine.objects.filter(agent_id=line.agent_id).update(
        sequence=line.sequence, auto_iteration=line.auto_iteration, epoch=line.epoch
    )
    if draft.columns["label"]:
        Checkpoint.objects.filter(agent_id=line.agent_id, label=draft.columns["label"]).update(label="")
    if pending is not None:
        pending.publish(FileName(line.sequence, draft.id))
    checkpoint = Checkpoint(
        id=draft.id,
        agent_id=draft.agent_id,
        sequence=line.sequence,
        epoch=line.epoch,
        created_at=draft.created_at,
        size=draft.packed.size,
        stored_size=len(draft.packed.body),
        encoding=draft.packed.encoding,
        sha256=draft.packed.sha256,
        body=draft.packed.body,
        **draft.columns,
    )
    # One plain INSERT: what AgentHub keeps by itself is nobody's change.
    Checkpoint.objects.bulk_create([checkpoint])
    return checkpoint


def checkpoint_files() -> CheckpointFiles:
    """The files of this hub, whether they are on or not."""
    return CheckpointFiles(settings.ENVIRONMENT.checkpoints_dir)


def _pending(draft: Draft) -> PendingFile | None:
    if not runtime_settings().checkpoint_files:
        return None
    return checkpoint_files().prepare(draft.agent_id, draft.document, about(draft))


def about(draft: Draft) -> dict[str, Any]:
    """What a file says beside the document."""
    plain = {"id": draft.id, "agent_id": draft.agent_id, "created_at": draft.created_at.isoformat()}
    return plain | {"document_sha256": draft.packed.sha256} | dict(draft.columns)


def _columns(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task_id": _short(state.get("task_id"), LONGEST_ID),
        "status": _short(state.get("status"), LONGEST_STATUS),
        "agent_name": _short(state.get("agent_name"), LONGEST_ID),
        "agent_type": _short(state.get("agent_type"), LONGEST_ID),
        "iteration": _iteration(state),
    }


def _short(value: object, longest: int) -> str:
    """What a column shows of a value in a state; the state keeps all of it."""
    if value is None or isinstance(value, dict | list | tuple):
        return ""
    return str(value).replace("\0", "")[:longest]


def _iteration(state: Mapping[str, Any]) -> int:
    value = state.get("iteration", 0)
    return value if isinstance(value, int) and abs(value) <= MOST_ITERATIONS else 0


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    for name, longest in (("label", LONGEST_LABEL), ("note", LONGEST_NOTE), ("task_id", LONGEST_ID)):
        storable_text(given.get(name, ""), name, longest=longest, empty=True)
    if given["kind"] not in set(Kind):
        raise StateNotStorable(f"kind can't be {given['kind']!r}.", param="kind")
    if abs(given.get("iteration", 0)) > MOST_ITERATIONS:
        raise StateNotStorable("iteration is too large a number.", param="iteration")
    return dict(given)
