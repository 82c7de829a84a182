"""Where CHECKPOINT frames go: a checkpoint of kind `task` for each, in the line of its agent."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from agenthub.core.agents import OpenTask
from agenthub.core.errors import CheckpointTooLarge, Refused
from storagecustodian.models import Checkpoint
from storagecustodian.rules.envelope import check_state, dumped
from storagecustodian.rules.kinds import Kind
from storagecustodian.selectors import head, latest_of_agent, line_of, on_line, stretches
from storagecustodian.services.saving import checkpoint_save

MOST_FRAME_BYTES = 64 * 1024
MOST_OPEN_TASKS = 20
ENDED = ("completed", "failed", "canceled", "rejected")


class TaskCheckpoints:
    """The CheckpointSink of this hub."""

    def save(self, agent_id: str, task_id: str, n: int, state: Mapping[str, Any], note: str) -> str:
        """Keep the state of a task after its n-th step; a frame that is sent again is the same checkpoint."""
        check_state(state)
        size = len(dumped(state))
        if size > MOST_FRAME_BYTES:
            raise CheckpointTooLarge(f"The state has {size} bytes; a CHECKPOINT frame may have {MOST_FRAME_BYTES}.")
        known = _sent_before(agent_id, task_id, n, state)
        if known is not None:
            return known
        kept = checkpoint_save(agent_id=agent_id, state=state, kind=Kind.TASK, note=note, task_id=task_id, iteration=n)
        return str(kept.id)

    def open_tasks(self, agent_id: str) -> Sequence[OpenTask]:
        """The tasks that have a checkpoint and no end, those that were saved last first."""
        rows = on_line(agent_id, stretches(agent_id, line_of(agent_id).epoch)).filter(kind=Kind.TASK)
        tasks = dict.fromkeys(rows.values_list("task_id", flat=True)[:1_000])
        found = (_open(agent_id, task_id) for task_id in tasks)
        return [task for task in found if task is not None][:MOST_OPEN_TASKS]

    def with_tasks(self, agent_ids: Iterable[str]) -> Set[str]:
        """Those of the agents that have ever saved a task."""
        saved = Checkpoint.objects.filter(agent_id__in=list(agent_ids), kind=Kind.TASK)
        return set(saved.values_list("agent_id", flat=True).distinct())

    def close_task(self, agent_id: str, task_id: str, status: str) -> None:
        """Note how a task has ended."""
        newest = head(agent_id, task_id=task_id)
        if newest is not None:
            Checkpoint.objects.filter(id=newest.id).update(status=status[:64])


def _sent_before(agent_id: str, task_id: str, n: int, state: Mapping[str, Any]) -> str | None:
    newest = head(agent_id, task_id=task_id)
    if newest is None or newest.kind != Kind.TASK or newest.iteration != n:
        return None
    try:
        same = dumped(latest_of_agent(agent_id, task_id=task_id).envelope.state) == dumped(state)
    except (Refused, TypeError, ValueError):
        return None
    return newest.id if same else None


def _open(agent_id: str, task_id: str) -> OpenTask | None:
    try:
        found = latest_of_agent(agent_id, task_id=task_id)
    except Refused:
        return None
    if found.checkpoint.status in ENDED:
        return None
    state = {"id": found.checkpoint.id, "n": found.checkpoint.iteration, "state": found.envelope.state}
    return OpenTask(task_id=task_id, checkpoint=state | {"note": found.checkpoint.note, "epoch": found.line.epoch})
