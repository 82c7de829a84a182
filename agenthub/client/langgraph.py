"""LangGraph's threads in AgentHub, over HTTP: `AgentHubSaver(url, token)`. Needs `agenthub[langgraph]`."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import httpx
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from agenthub.client.graphrows import checkpoint_row, checkpoint_tuple, query_of, write_rows
from agenthub.client.graphsaver import RowSaver, checked_strategy, saved_config
from agenthub.client.graphwire import (
    CheckpointRow,
    Query,
    WriteRow,
    following,
    row_from_json,
    row_to_json,
    writes_to_json,
)
from agenthub.client.http import TIMEOUT_SECONDS, ask, ask_async, async_client, sync_client


class RemoteThreads:
    """The threads of an agent in its hub."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def put(self, row: CheckpointRow) -> None:
        """Keep a checkpoint, its values and its writes, all or nothing."""
        self._do("put", row_to_json(row))

    def put_writes(self, thread_id: str, namespace: str, checkpoint_id: str, writes: Sequence[WriteRow]) -> None:
        """Keep writes, all or nothing."""
        self._do("writes", _writes(thread_id, namespace, checkpoint_id, writes))

    def get(self, thread_id: str, namespace: str, checkpoint_id: str | None) -> CheckpointRow | None:
        """A checkpoint, or the newest."""
        return _row(self._do("get", _place(thread_id, namespace, checkpoint_id)))

    def page(self, query: Query) -> tuple[list[CheckpointRow], bool]:
        """Some of the checkpoints, newest first, and whether there are more."""
        return _page(self._do("list", _query(query)))

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""
        self._do("delete-thread", {"thread_id": thread_id})

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs have made."""
        self._do("delete-runs", {"run_ids": list(run_ids)})

    def copy_thread(self, source: str, target: str) -> None:
        """Copy all of a thread."""
        self._do("copy", {"source": source, "target": target})

    def prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        """Keep the newest of each namespace, or nothing."""
        self._do("prune", {"thread_ids": list(thread_ids), "strategy": strategy})

    def _do(self, what: str, body: dict[str, Any]) -> Any:
        return ask(self.client, "POST", f"graphs/{what}", json=body)


class AgentHubSaver(RowSaver):
    """A checkpoint saver of LangGraph, sync and async, for an agent with its token.

    Use it as a context manager, or close it, to let go of its connections.
    """

    store: RemoteThreads

    def __init__(
        self,
        url: str,
        token: str,
        *,
        serde: SerializerProtocol | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        client: httpx.Client | None = None,
        aclient: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(RemoteThreads(client or sync_client(url, token, timeout_seconds=timeout_seconds)), serde=serde)
        self.aclient = aclient or async_client(url, token, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.store.client.close()
        await self.aclient.aclose()

    async def _do(self, what: str, body: dict[str, Any]) -> Any:
        return await ask_async(self.aclient, "POST", f"graphs/{what}", json=body)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As get_tuple."""
        place = config["configurable"]
        asked = _place(str(place["thread_id"]), place.get("checkpoint_ns", ""), get_checkpoint_id(config))
        row = _row(await self._do("get", asked))
        return None if row is None else checkpoint_tuple(self.serde, row)

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
            page, more = _page(await self._do("list", _query(query)))
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
        await self._do("put", row_to_json(checkpoint_row(self.serde, config, checkpoint, metadata, new_versions)))
        return saved_config(config, checkpoint)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As put_writes."""
        place, rows = config["configurable"], write_rows(self.serde, writes, task_id, task_path)
        if rows:
            where = (str(place["thread_id"]), place.get("checkpoint_ns", ""), place["checkpoint_id"])
            await self._do("writes", _writes(*where, rows))

    async def adelete_thread(self, thread_id: str) -> None:
        """As delete_thread."""
        await self._do("delete-thread", {"thread_id": str(thread_id)})

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As delete_for_runs."""
        await self._do("delete-runs", {"run_ids": [str(run_id) for run_id in run_ids]})

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As copy_thread."""
        await self._do("copy", {"source": str(source_thread_id), "target": str(target_thread_id)})

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As prune."""
        threads = [str(thread_id) for thread_id in thread_ids]
        await self._do("prune", {"thread_ids": threads, "strategy": checked_strategy(strategy)})


def _place(thread_id: str, namespace: str, checkpoint_id: str | None) -> dict[str, Any]:
    return {"thread_id": thread_id, "namespace": namespace, "checkpoint_id": checkpoint_id}


def _writes(thread_id: str, namespace: str, checkpoint_id: str, writes: Sequence[WriteRow]) -> dict[str, Any]:
    return _place(thread_id, namespace, checkpoint_id) | {"writes": writes_to_json(writes)}


def _query(query: Query) -> dict[str, Any]:
    names = ("thread_id", "namespace", "checkpoint_id", "before", "metadata", "limit")
    asked = {name: getattr(query, name) for name in names}
    return asked | {"after": list(query.after) if query.after else None}


def _row(answer: dict[str, Any]) -> CheckpointRow | None:
    return row_from_json(answer["row"]) if answer["row"] is not None else None


def _page(answer: dict[str, Any]) -> tuple[list[CheckpointRow], bool]:
    return [row_from_json(row) for row in answer["rows"]], answer["more"]
