"""LangGraph's threads on the hub's own database, for graphs that run inside the hub. Needs `agenthub[langgraph]`."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from agenthub.client.graphrows import checkpoint_tuple, query_of
from agenthub.client.graphsaver import RowSaver
from agenthub.client.graphwire import following
from agenthub.core.bridge import in_thread
from storagecustodian.threads import HubThreads


class HubSaver(RowSaver):
    """A checkpoint saver of LangGraph, sync and async; `owner` is the agent whose threads they are."""

    def __init__(self, *, owner: str = "", serde: SerializerProtocol | None = None) -> None:
        super().__init__(HubThreads(owner), serde=serde)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As get_tuple."""
        return await in_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's word
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As list, page by page."""
        query, more = query_of(config, filter, before, limit), limit is None or limit > 0
        while more:
            page, more = await in_thread(self.store.page, query)
            for row in page:
                yield checkpoint_tuple(self.serde, row)
            if not page:
                return
            query = following(query, page)
            more = more and (query.limit is None or query.limit > 0)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As put."""
        return await in_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As put_writes."""
        await in_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As delete_thread."""
        await in_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As delete_for_runs."""
        await in_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As copy_thread."""
        await in_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As prune."""
        await in_thread(self.prune, thread_ids, strategy=strategy)
