"""Letting go of what retention does not keep, agent by agent, in short transactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from agenthub.core.clock import monotonic_seconds
from agenthub.core.params import RuntimeSettings
from agenthub.core.retries import retried
from storagecustodian.models import AgentLine, Checkpoint, Restore
from storagecustodian.rules.kinds import AUTOMATIC
from storagecustodian.rules.retention import Kept, Retention, prunable
from storagecustodian.selectors import head
from storagecustodian.services.changing import file_forget
from storagecustodian.services.saving import line_locked

BATCH = 200
PRUNE_SECONDS = 300.0
_COLUMNS = ("id", "task_id", "sequence", "stored_size", "created_at", "kind", "label", "pinned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go, of one agent."""

    agent_id: str
    ids: tuple[str, ...]
    bytes: int


def retention_of(values: RuntimeSettings) -> Retention:
    """What the settings keep."""
    return Retention(
        count=values.checkpoint_keep_count,
        days=values.checkpoint_keep_days,
        size_bytes=values.checkpoint_keep_bytes,
    )


def checkpoints_prune(
    *, keep: Retention, now: datetime, agent_id: str = "", dry_run: bool = False, most_seconds: float = PRUNE_SECONDS
) -> list[Pruned]:
    """Delete what `keep` does not keep, of one agent or of all; with `dry_run` only say what would go.

    Never the head of an agent, a labelled or pinned one, or the one that the agent was last set back to. A run ends
    after `most_seconds`, and the next goes on.
    """
    until, found = monotonic_seconds() + most_seconds, []
    for each in [agent_id] if agent_id else _agents():
        done = _of_agent(each, keep, now) if not dry_run else _would_go(each, keep, now)
        if done.ids:
            found.append(done)
        if monotonic_seconds() >= until:
            break
    return found


def _agents() -> Iterator[str]:
    return AgentLine.objects.order_by("agent_id").values_list("agent_id", flat=True).iterator()


def _would_go(agent_id: str, keep: Retention, now: datetime) -> Pruned:
    going = prunable(_seen(agent_id), keep, now=now)
    return Pruned(agent_id=agent_id, ids=tuple(one.id for one in going), bytes=sum(one.size for one in going))


def _of_agent(agent_id: str, keep: Retention, now: datetime) -> Pruned:
    gone: list[Kept] = []
    while batch := retried(lambda: _delete_batch(agent_id, keep, now)):
        for one in batch:
            file_forget(Checkpoint(id=one.id, agent_id=agent_id, sequence=one.sequence))
        gone += batch
    return Pruned(agent_id=agent_id, ids=tuple(one.id for one in gone), bytes=sum(one.size for one in gone))


@transaction.atomic
def _delete_batch(agent_id: str, keep: Retention, now: datetime) -> list[Kept]:
    # Under the lock nobody labels, pins or restores one of them meanwhile, or adds a newer one.
    line_locked(agent_id)
    going = prunable(_seen(agent_id), keep, now=now)[:BATCH]
    if going:
        Checkpoint.objects.filter(id__in=[one.id for one in going]).delete()
    return going


def _seen(agent_id: str) -> list[Kept]:
    newest = head(agent_id)
    turn = Restore.objects.filter(agent_id=agent_id).order_by("-epoch").first()
    held = {newest.id if newest else "", turn.checkpoint_id if turn else ""}
    rows = Checkpoint.objects.filter(agent_id=agent_id).values_list(*_COLUMNS)
    return [
        Kept(
            id=checkpoint_id,
            task_id=task_id,
            sequence=sequence,
            size=size,
            created_at=created_at,
            automatic=kind in AUTOMATIC,
            protected=pinned or label != "" or checkpoint_id in held,
        )
        for checkpoint_id, task_id, sequence, size, created_at, kind, label, pinned in rows
    ]
