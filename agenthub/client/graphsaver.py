"""What the savers for LangGraph have in common: everything but where their rows go."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from agenthub.client.graphrows import (
    checkpoint_row,
    checkpoint_tuple,
    next_version,
    query_of,
    strict_serializer,
    write_rows,
)
from agenthub.client.graphwire import STRATEGIES, GraphStore, all_rows


class RowSaver(BaseCheckpointSaver[str]):
    """A saver, sync, over a store of rows."""

    store: GraphStore

    def __init__(self, store: GraphStore, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde or strict_serializer())
        self.store = store

    def get_next_version(self, current: str | None, channel: None = None) -> str:  # noqa: ARG002 - LangGraph's
        """A version that no other branch has."""
        return next_version(current)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, or the newest of its thread and namespace."""
        place = config["configurable"]
        row = self.store.get(str(place["thread_id"]), place.get("checkpoint_ns", ""), get_checkpoint_id(config))
        return None if row is None else checkpoint_tuple(self.serde, row)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's word
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first."""
        for row in all_rows(self.store, query_of(config, filter, before, limit)):
            yield checkpoint_tuple(self.serde, row)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint and the values that are new."""
        self.store.put(checkpoint_row(self.serde, config, checkpoint, metadata, new_versions))
        return saved_config(config, checkpoint)

    def put_with_writes(  # noqa: PLR0917 - LangGraph's order
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> RunnableConfig:
        """Keep a checkpoint and the writes of a task after it in one transaction."""
        rows = write_rows(self.serde, writes, task_id, task_path)
        self.store.put(checkpoint_row(self.serde, config, checkpoint, metadata, new_versions, rows))
        return saved_config(config, checkpoint)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task has written, all of it or nothing."""
        place = config["configurable"]
        rows = write_rows(self.serde, writes, task_id, task_path)
        if rows:
            self.store.put_writes(str(place["thread_id"]), place.get("checkpoint_ns", ""), place["checkpoint_id"], rows)

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""
        self.store.delete_thread(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs have made."""
        self.store.delete_for_runs([str(run_id) for run_id in run_ids])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread, its history and its writes."""
        self.store.copy_thread(str(source_thread_id), str(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep the newest of each namespace and, for delta channels, the history that it is built from."""
        self.store.prune([str(thread_id) for thread_id in thread_ids], checked_strategy(strategy))


def checked_strategy(strategy: str) -> str:
    """A strategy that there is. Raises ValueError."""
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}.")
    return strategy


def saved_config(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    """The config of a checkpoint that was kept."""
    place = config["configurable"]
    return {
        "configurable": {
            "thread_id": place["thread_id"],
            "checkpoint_ns": place.get("checkpoint_ns", ""),
            "checkpoint_id": checkpoint["id"],
        }
    }
