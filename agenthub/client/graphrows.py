"""LangGraph's checkpoints as rows, and rows as checkpoints.

The values of channels have rows of their own, shared by the checkpoints that hold the same version; texts, numbers and
booleans stay inside the checkpoint, where they cost less than a row.
"""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from agenthub.client.graphwire import CheckpointRow, Query, ValueRow, WriteRow


def strict_serializer() -> SerializerProtocol:
    """The serializer that makes objects of no class that is not on LangGraph's own list, whatever the bytes say.

    LangGraph adds the classes of a graph's state to the list by itself (`with_allowlist`).
    """
    return JsonPlusSerializer(allowed_msgpack_modules=None)


def next_version(current: str | int | None) -> str:
    """The version after `current`: a count, and chance, so that two branches of a thread never share a version."""
    count = 0 if current is None else int(str(current).partition(".")[0])
    return f"{count + 1:032}.{random.random():016}"


def checkpoint_row(  # noqa: PLR0917 - LangGraph's order
    serde: SerializerProtocol,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
    writes: Sequence[WriteRow] = (),
) -> CheckpointRow:
    """A checkpoint as rows. Raises what the serializer raises, and TypeError or ValueError for its metadata."""
    place = config["configurable"]
    inline = {name: value for name, value in checkpoint["channel_values"].items() if _is_small(value)}
    kept = cast(Checkpoint, {**checkpoint, "channel_values": inline})
    kind, body = serde.dumps_typed(kept)
    shown = dict(get_serializable_checkpoint_metadata(config, metadata))
    json.dumps(shown, allow_nan=False)  # a value that JSON can't hold is refused before anything is written
    return CheckpointRow(
        thread_id=str(place["thread_id"]),
        namespace=place.get("checkpoint_ns", ""),
        checkpoint_id=checkpoint["id"],
        parent_id=place.get("checkpoint_id") or "",
        run_id=str(shown.get("run_id") or ""),
        metadata=shown,
        versions={name: str(v) for name, v in checkpoint["channel_versions"].items() if name not in inline},
        inline=list(inline),
        kind=kind,
        body=body,
        values=[
            ValueRow(name, str(version), *serde.dumps_typed(checkpoint["channel_values"][name]))
            for name, version in new_versions.items()
            if name in checkpoint["channel_values"] and name not in inline
        ],
        writes=writes,
    )


def _is_small(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, _DeltaSnapshot))


def write_rows(
    serde: SerializerProtocol, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> list[WriteRow]:
    """The writes of a task as rows."""
    return [
        WriteRow(task_id, WRITES_IDX_MAP.get(channel, place), task_path, channel, *serde.dumps_typed(value))
        for place, (channel, value) in enumerate(writes)
    ]


def checkpoint_tuple(serde: SerializerProtocol, row: CheckpointRow) -> CheckpointTuple:
    """What LangGraph calls a checkpoint with all that belongs to it."""
    checkpoint: Checkpoint = serde.loads_typed((row.kind, row.body))
    values = {value.channel: serde.loads_typed((value.kind, value.body)) for value in row.values}
    checkpoint["channel_values"] = {**checkpoint["channel_values"], **values}
    ordered = sorted(row.writes, key=lambda one: writes_sort_key(one.task_path, one.task_id, one.idx))
    return CheckpointTuple(
        config=_config(row, row.checkpoint_id),
        checkpoint=checkpoint,
        metadata=cast(CheckpointMetadata, dict(row.metadata)),
        parent_config=_config(row, row.parent_id) if row.parent_id else None,
        pending_writes=[(one.task_id, one.channel, serde.loads_typed((one.kind, one.body))) for one in ordered],
    )


def _config(row: CheckpointRow, checkpoint_id: str) -> RunnableConfig:
    place = {"thread_id": row.thread_id, "checkpoint_ns": row.namespace, "checkpoint_id": checkpoint_id}
    return {"configurable": place}


def query_of(
    config: RunnableConfig | None,
    metadata: Mapping[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> Query:
    """What `list` was asked for."""
    place = config["configurable"] if config else {}
    thread_id = place.get("thread_id")
    return Query(
        thread_id=None if thread_id is None else str(thread_id),
        namespace=place.get("checkpoint_ns"),
        checkpoint_id=place.get("checkpoint_id"),
        before=before["configurable"].get("checkpoint_id") if before else None,
        metadata=dict(metadata or {}),
        limit=limit,
    )
