"""Rows of LangGraph's threads, what keeps them, and how they travel. Free of LangGraph itself."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

STRATEGIES = ("keep_latest", "delete")


@dataclass(frozen=True, slots=True)
class ValueRow:
    """The value of a channel at a version."""

    channel: str
    version: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WriteRow:
    """What a task has written."""

    task_id: str
    idx: int
    task_path: str
    channel: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """A checkpoint with the values that came with it, or that it needs, and its writes."""

    thread_id: str
    namespace: str
    checkpoint_id: str
    parent_id: str
    metadata: Mapping[str, Any]
    versions: Mapping[str, str]
    inline: Sequence[str]
    kind: str
    body: bytes
    run_id: str = ""
    values: Sequence[ValueRow] = ()
    writes: Sequence[WriteRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which checkpoints are meant; None means any."""

    thread_id: str | None = None
    namespace: str | None = None
    checkpoint_id: str | None = None
    before: str | None = None  # a checkpoint id
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    after: tuple[str, str, str] | None = None  # the last one of a page: checkpoint id, thread, namespace


class GraphStore(Protocol):
    """Keeps rows."""

    def put(self, row: CheckpointRow) -> None:
        """Keep a checkpoint, its values and its writes, all or nothing."""

    def put_writes(self, thread_id: str, namespace: str, checkpoint_id: str, writes: Sequence[WriteRow]) -> None:
        """Keep writes, all or nothing; one that is there stays, unless its idx is below zero."""

    def get(self, thread_id: str, namespace: str, checkpoint_id: str | None) -> CheckpointRow | None:
        """A checkpoint, or the newest, with all values and writes."""

    def page(self, query: Query) -> tuple[list[CheckpointRow], bool]:
        """Some of the checkpoints, newest first, and whether there are more."""

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs have made."""

    def copy_thread(self, source: str, target: str) -> None:
        """Copy all of a thread."""

    def prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        """Keep the newest of each namespace, and what it is built from; or nothing."""


def following(query: Query, page: Sequence[CheckpointRow]) -> Query:
    """The query for what comes after a page."""
    last = page[-1]
    left = None if query.limit is None else query.limit - len(page)
    return Query(
        thread_id=query.thread_id,
        namespace=query.namespace,
        checkpoint_id=query.checkpoint_id,
        before=query.before,
        metadata=query.metadata,
        limit=left,
        after=(last.checkpoint_id, last.thread_id, last.namespace),
    )


def all_rows(store: GraphStore, query: Query) -> Iterator[CheckpointRow]:
    """Page after page."""
    more = query.limit is None or query.limit > 0
    while more:
        page, more = store.page(query)
        yield from page
        if not page:
            return
        query = following(query, page)
        more = more and (query.limit is None or query.limit > 0)


def row_to_json(row: CheckpointRow) -> dict[str, Any]:
    """A row as JSON holds it, bytes as base64."""
    return {
        **asdict(row),
        "body": _text(row.body),
        "values": [{**asdict(one), "body": _text(one.body)} for one in row.values],
        "writes": writes_to_json(row.writes),
    }


def writes_to_json(writes: Sequence[WriteRow]) -> list[dict[str, Any]]:
    """Writes as JSON holds them."""
    return [{**asdict(one), "body": _text(one.body)} for one in writes]


def row_from_json(row: Mapping[str, Any]) -> CheckpointRow:
    """What `row_to_json` has made. Raises ValueError for what is no base64."""
    values = [ValueRow(**{**one, "body": _bytes(one["body"])}) for one in row["values"]]
    plain = {**row, "body": _bytes(row["body"]), "values": values, "writes": writes_from_json(row["writes"])}
    return CheckpointRow(**plain)


def writes_from_json(writes: Sequence[Mapping[str, Any]]) -> list[WriteRow]:
    """What `writes_to_json` has made. Raises ValueError for what is no base64."""
    return [WriteRow(**{**one, "body": _bytes(one["body"])}) for one in writes]


def _text(body: bytes) -> str:
    return b64encode(body).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)
