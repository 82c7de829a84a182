"""Going back: what is the latest now is kept, the epoch rises, the line turns, the agent is told to reload."""

from dataclasses import dataclass
from functools import partial

from django.db import transaction

from agenthub.core.agents import agent_directory
from agenthub.core.clock import utc_now
from agenthub.core.errors import (
    BadRequest,
    CheckpointCorrupt,
    CheckpointForbidden,
    CheckpointNotFound,
    UnsupportedVersion,
)
from agenthub.core.ids import short_id
from agenthub.core.retries import retried
from storagecustodian.durable import durable
from storagecustodian.models import AgentLine, Checkpoint, Restore
from storagecustodian.rules.envelope import packed
from storagecustodian.rules.kinds import Kind
from storagecustodian.rules.paths import storable_text
from storagecustodian.selectors import (
    Loaded,
    checkpoint_load,
    document_of,
    latest_of_agent,
    line_of,
    on_line,
    stretches,
)
from storagecustodian.services.saving import Draft, draft_insert, line_locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did."""

    checkpoint: Checkpoint  # that the agent is at now
    epoch: int
    pre_restore: Checkpoint | None


def checkpoint_restore(
    *,
    checkpoint_id: str,
    by: str,
    agent_id: str | None = None,
    administrator: bool = False,
    reason: str = "",
    any_version: bool = False,
) -> Restored:
    """Go back to a checkpoint; for an agent that is not its own, an administrator brings a copy of it there.

    Raises CheckpointNotFound, CheckpointForbidden, CheckpointCorrupt, UnsupportedVersion.
    """
    chosen = checkpoint_load(checkpoint_id, any_version=any_version)
    target = chosen.checkpoint.agent_id if agent_id is None else storable_text(agent_id, "agent_id")
    if target != chosen.checkpoint.agent_id and not administrator:
        raise CheckpointForbidden("Only an administrator restores a checkpoint of another agent.", param="id")
    storable_text(reason, "reason", longest=500, empty=True)
    return retried(lambda: _restore(chosen, target, by=by[:200], reason=reason))


def checkpoint_rollback(*, agent_id: str, by: str, steps: int = 1, reason: str = "") -> Restored:
    """Go back by so many checkpoints from the latest. Raises CheckpointNotFound, BadRequest, CheckpointCorrupt."""
    if not 1 <= steps <= 10_000:
        raise BadRequest("steps must be between 1 and 10,000.", param="steps")
    rows = on_line(agent_id, stretches(agent_id, line_of(agent_id).epoch)).values_list("id", flat=True)
    found = list(rows[steps : steps + 1])
    if not found:
        raise CheckpointNotFound(f"{agent_id} has no checkpoint {steps} before its latest.")
    return checkpoint_restore(checkpoint_id=found[0], by=by, reason=reason or f"rolled back by {steps}")


def _restore(chosen: Loaded, agent_id: str, *, by: str, reason: str) -> Restored:
    with durable():
        line = line_locked(agent_id)
        before = _keep_what_is(line)
        own = chosen.checkpoint.agent_id == agent_id
        from_epoch = chosen.checkpoint.epoch if own else line.epoch
        from_sequence = chosen.checkpoint.sequence if own else line.sequence
        line.epoch += 1
        line.auto_iteration = chosen.checkpoint.iteration
        at = chosen.checkpoint if own else draft_insert(_copy(chosen.checkpoint, agent_id, Kind.RESTORED), line)
        AgentLine.objects.filter(agent_id=agent_id).update(epoch=line.epoch, auto_iteration=line.auto_iteration)
        # With save(), so that it is in the audit trail.
        Restore(
            agent_id=agent_id,
            epoch=line.epoch,
            from_epoch=from_epoch,
            from_sequence=from_sequence,
            checkpoint_id=chosen.checkpoint.id,
            pre_restore_id=before.id if before else "",
            created_at=utc_now(),
            by=by,
            reason=reason,
        ).save(force_insert=True)
        transaction.on_commit(partial(_reload, agent_id))
        return Restored(checkpoint=at, epoch=line.epoch, pre_restore=before)


def _keep_what_is(line: AgentLine) -> Checkpoint | None:
    try:
        latest = latest_of_agent(line.agent_id, any_version=True)
    except (CheckpointNotFound, CheckpointCorrupt, UnsupportedVersion):
        return None  # nothing is there that could be kept
    return draft_insert(_copy(latest.checkpoint, line.agent_id, Kind.PRE_RESTORE), line)


def _copy(checkpoint: Checkpoint, agent_id: str, kind: Kind) -> Draft:
    document = document_of(checkpoint)
    names = ("task_id", "status", "agent_name", "agent_type", "iteration")
    return Draft(
        id=short_id("ckp"),
        agent_id=agent_id,
        document=document,
        packed=packed(document),
        created_at=utc_now(),
        columns={name: getattr(checkpoint, name) for name in names}
        | {"kind": kind, "label": "", "pinned": False, "note": f"copy of {checkpoint.id}"},
    )


def _reload(agent_id: str) -> None:
    agent_directory().reload(agent_id)
