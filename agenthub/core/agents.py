"""What parts below the hub need of agents, as protocols that the root fills in (`agenthub/apps.py`).

Ids of agents are text here; the hub's numbers are written out. Until something is filled in, nobody is an agent.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """An agent that has shown its token."""

    id: str
    name: str

    is_authenticated = True
    is_active = True

    def __str__(self) -> str:
        return f"agent {self.name}"


class AgentDirectory(Protocol):
    """Who is an agent. Its methods are sync and may read the database."""

    def authenticate(self, token: str) -> AgentIdentity | None:
        """The agent of an agent token that works at this moment; None for any other text."""

    def names(self, agent_ids: Iterable[str]) -> Mapping[str, str]:
        """The display names of those that there are, by id."""

    def reload(self, agent_id: str) -> None:
        """Tell a running agent to load its state anew. One that is not there is no error: it loads when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """The last checkpoint of a task that an agent has not finished, for its WELCOME."""

    task_id: str
    checkpoint: Mapping[str, Any] = field(default_factory=dict)  # id, n, state, note, epoch


class CheckpointSink(Protocol):
    """Where CHECKPOINT frames go. Its methods are sync and write to the database."""

    def save(self, agent_id: str, task_id: str, n: int, state: Mapping[str, Any], note: str) -> str:
        """Keep the state; its id, once it is on the disk. The same n with the same state again is the same one.

        Raises Refused: too large, not JSON, or of an epoch that a restore has ended.
        """

    def open_tasks(self, agent_id: str) -> Sequence[OpenTask]:
        """The tasks that have a checkpoint and no end, those that were saved last first."""

    def with_tasks(self, agent_ids: Iterable[str]) -> Set[str]:
        """Those of the agents that have ever saved a task: only they need be asked for open ones."""

    def close_task(self, agent_id: str, task_id: str, status: str) -> None:
        """Note that a task has ended, and how."""


class _NoAgents:
    def authenticate(self, token: str) -> AgentIdentity | None:  # noqa: ARG002
        return None

    def names(self, agent_ids: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def reload(self, agent_id: str) -> None:  # noqa: ARG002
        return None


class _Filled:
    directory: AgentDirectory = _NoAgents()
    checkpoints: CheckpointSink | None = None


def agents_are_in(directory: AgentDirectory) -> AgentDirectory:
    """Ask this directory from now on; the answer is the one before."""
    before, _Filled.directory = _Filled.directory, directory
    return before


def agent_directory() -> AgentDirectory:
    """Whom to ask about agents."""
    return _Filled.directory


def checkpoints_go_to(sink: CheckpointSink) -> None:
    """Send CHECKPOINT frames there from now on."""
    _Filled.checkpoints = sink


def checkpoint_sink() -> CheckpointSink:
    """Where CHECKPOINT frames go. Raises RuntimeError where the root has filled nothing in."""
    if _Filled.checkpoints is None:
        raise RuntimeError("Nobody keeps checkpoints in this process.")
    return _Filled.checkpoints
