"""Threads of LangGraph in the database: the store of rows of both savers."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections

from agenthub.client.graphwire import CheckpointRow, Query, ValueRow, WriteRow
from agenthub.core.errors import Conflict
from agenthub.core.retries import retried
from storagecustodian.durable import durable
from storagecustodian.models import GraphCheckpoint, GraphValue, GraphWrite
from storagecustodian.models.graph import LONGEST_CHANNEL, LONGEST_NAMESPACE, LONGEST_VERSION
from storagecustodian.rules.paths import storable_text
from storagecustodian.threadprune import thread_prune

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 50
KEYS_AT_ONCE = 500
PREPARED_AFTER = 5

_C, _V, _W = (model._meta.db_table for model in (GraphCheckpoint, GraphValue, GraphWrite))
_THREAD = "owner, thread_id, namespace"
_C_COLUMNS = f"{_THREAD}, checkpoint_id, parent_id, run_id, metadata, versions, inline, kind, body"
_V_COLUMNS = f"{_THREAD}, channel, version, kind, body"
_W_COLUMNS = f"{_THREAD}, checkpoint_id, task_id, idx, task_path, channel, kind, body"

_PUT = f"""INSERT INTO {_C} ({_C_COLUMNS}) VALUES ({", ".join(["%s"] * 11)})
ON CONFLICT ({_THREAD}, checkpoint_id) DO UPDATE SET run_id = excluded.run_id, metadata = excluded.metadata,
versions = excluded.versions, inline = excluded.inline, kind = excluded.kind, body = excluded.body"""
_VALUE = "(" + ", ".join(["%s"] * 7) + ")"
_PUT_VALUES = f"INSERT INTO {_V} ({_V_COLUMNS}) VALUES {{rows}} ON CONFLICT DO NOTHING"
_WRITE = "(" + ", ".join(["%s"] * 10) + ")"
# Below zero are LangGraph's own: the newest error or interrupt of a task counts, while its plain writes stand.
_PUT_WRITES = f"""INSERT INTO {_W} ({_W_COLUMNS}) VALUES {{rows}}
ON CONFLICT ({_THREAD}, checkpoint_id, task_id, idx) DO UPDATE SET task_path = excluded.task_path,
channel = excluded.channel, kind = excluded.kind, body = excluded.body WHERE excluded.idx < 0"""

# Checkpoints, their values and their writes as the database was at one instant: rows of one shape, told apart by part.
# Values are looked up one by one: a plan that reads all values of a thread instead grows with the thread.
_READ = f"""WITH chosen AS (SELECT c.* FROM {{chosen}})
SELECT 0 AS part, thread_id, namespace, checkpoint_id, parent_id AS a, metadata AS b, versions AS c, inline AS d,
    0 AS idx, run_id AS e, kind, body FROM chosen
UNION ALL
SELECT 1, x.thread_id, x.namespace, x.checkpoint_id, j.key, j.value, '', '', 0, '', v.kind, v.body
FROM chosen x CROSS JOIN {{values}}
UNION ALL
SELECT 2, x.thread_id, x.namespace, x.checkpoint_id, w.task_id, w.task_path, w.channel, '', w.idx, '', w.kind, w.body
FROM chosen x CROSS JOIN {_W} w WHERE w.owner = x.owner AND w.thread_id = x.thread_id
    AND w.namespace = x.namespace AND w.checkpoint_id = x.checkpoint_id"""
_THE_VALUE = """v.owner = x.owner AND v.thread_id = x.thread_id AND v.namespace = x.namespace
    AND v.channel = j.key AND v.version = j.value"""
_VALUES = {
    "postgresql": f"""LATERAL json_each_text(x.versions::json) AS j(key, value)
    CROSS JOIN LATERAL (SELECT v.kind, v.body FROM {_V} v WHERE {_THE_VALUE} OFFSET 0) v""",
    "sqlite": f"json_each(x.versions) AS j CROSS JOIN {_V} v WHERE {_THE_VALUE}",
}
_ONE = f"{_C} c WHERE owner = %s AND thread_id = %s AND namespace = %s"
_SOME = f"""(VALUES {{keys}}) AS k CROSS JOIN {_C} c WHERE c.owner = k.column1 AND c.thread_id = k.column2
    AND c.namespace = k.column3 AND c.checkpoint_id = k.column4"""


def _borrowed(method: Callable[P, T]) -> Callable[P, T]:
    """Leave no connection open in a thread that had none: LangGraph saves in threads of its own, which live on, and
    connections to PostgreSQL are counted."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        had_one = connection.connection is not None
        try:
            return method(*args, **kwargs)
        finally:
            if not had_one and not connection.in_atomic_block:
                connection.close()

    return call


class HubThreads:
    """The threads of one owner: an agent, or "" for graphs that run inside the hub."""

    def __init__(self, owner: str = "") -> None:
        self.owner = storable_text(owner, "owner", empty=True)

    @_borrowed
    def put(self, row: CheckpointRow) -> None:
        """Keep a checkpoint, its values and its writes in one transaction."""
        _check_names(row)
        place = (self.owner, row.thread_id, row.namespace)
        values = [(*place, one.channel, one.version, one.kind, one.body) for one in row.values]
        writes = _write_values((*place, row.checkpoint_id), row.writes)
        checkpoint = (*place, row.checkpoint_id, row.parent_id, row.run_id)
        texts = (_json(row.metadata), _json(dict(row.versions)), _json(list(row.inline)))
        statements = [(_PUT, [*checkpoint, *texts, row.kind, row.body])]
        if values:
            statements.insert(0, (_PUT_VALUES.format(rows=", ".join([_VALUE] * len(values))), _flat(values)))
        if writes:
            statements.insert(0, (_PUT_WRITES.format(rows=", ".join([_WRITE] * len(writes))), _flat(writes)))
        retried(lambda: _all_or_nothing(statements))

    @_borrowed
    def put_writes(self, thread_id: str, namespace: str, checkpoint_id: str, writes: Sequence[WriteRow]) -> None:
        """Keep writes in one transaction, also before their checkpoint is kept: runs save side by side."""
        for name, text in (("thread_id", thread_id), ("checkpoint_id", checkpoint_id)):
            storable_text(text, name)
        for one in writes:
            storable_text(one.channel, "channel", longest=LONGEST_CHANNEL)
            storable_text(one.task_id, "task_id")
        rows = _write_values((self.owner, thread_id, namespace, checkpoint_id), writes)
        statement = _PUT_WRITES.format(rows=", ".join([_WRITE] * len(rows)))
        if rows:
            retried(lambda: _all_or_nothing([(statement, _flat(rows))]))

    @_borrowed
    def get(self, thread_id: str, namespace: str, checkpoint_id: str | None) -> CheckpointRow | None:
        """A checkpoint, or the newest, with all values and writes."""
        storable_text(thread_id, "thread_id")
        chosen, values = _ONE, [self.owner, thread_id, namespace]
        if checkpoint_id:
            chosen, values = f"{chosen} AND checkpoint_id = %s", [*values, checkpoint_id]
        found = _read(f"{chosen} ORDER BY checkpoint_id DESC LIMIT 1", values)
        return found[0] if found else None

    @_borrowed
    def page(self, query: Query) -> tuple[list[CheckpointRow], bool]:
        """Up to PAGE checkpoints, newest first, and whether there are more."""
        most = PAGE if query.limit is None else min(query.limit, PAGE)
        keys = self._keys(query, most + 1)
        wanted = keys[:most]
        if not wanted:
            return [], False
        chosen = _SOME.format(keys=", ".join(["(%s, %s, %s, %s)"] * len(wanted)))
        values = _flat((self.owner, *key) for key in wanted)
        rows = {(row.thread_id, row.namespace, row.checkpoint_id): row for row in _read(chosen, values)}
        return [rows[key] for key in wanted if key in rows], len(keys) > most

    def _keys(self, query: Query, most: int) -> list[tuple[str, str, str]]:
        """The places of the first checkpoints that match. Metadata is compared here, alike on every database."""
        found: list[tuple[str, str, str]] = []
        after = query.after
        while len(found) < most:
            at_once = most if not query.metadata else KEYS_AT_ONCE
            where, values = self._where(query, after)
            order = "ORDER BY checkpoint_id DESC, thread_id DESC, namespace DESC LIMIT %s"
            sql = f"SELECT thread_id, namespace, checkpoint_id, metadata FROM {_C} WHERE {where} {order}"
            rows = _fetch(sql, [*values, at_once])
            found += [(t, n, c) for t, n, c, metadata in rows if _matches(metadata, query.metadata)]
            if len(rows) < at_once:
                break
            after = (rows[-1][2], rows[-1][0], rows[-1][1])
        return found[:most]

    def _where(self, query: Query, after: tuple[str, str, str] | None) -> tuple[str, list[Any]]:
        where, values = ["owner = %s"], [self.owner]
        for column in ("thread_id", "namespace", "checkpoint_id"):
            wanted = getattr(query, column)
            if wanted is not None:
                storable_text(wanted, column, longest=LONGEST_NAMESPACE, empty=True)
                where.append(f"{column} = %s")
                values.append(wanted)
        if query.before is not None:
            where.append("checkpoint_id < %s")
            values.append(query.before)
        if after is not None:
            where.append("(checkpoint_id, thread_id, namespace) < (%s, %s, %s)")
            values += after
        return " AND ".join(where), values

    @_borrowed
    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""
        storable_text(thread_id, "thread_id")
        retried(lambda: self._delete({"thread_id": thread_id}))

    def _delete(self, named: Mapping[str, Any]) -> None:
        with durable():
            for model in (GraphWrite, GraphCheckpoint, GraphValue):
                model._default_manager.filter(owner=self.owner, **named).delete()

    @_borrowed
    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, their writes, and values that nothing holds any more."""
        for run_id in run_ids:
            storable_text(run_id, "run_id", empty=True)
            retried(lambda run_id=run_id: self._delete_run(run_id))  # type: ignore[misc]

    def _delete_run(self, run_id: str) -> None:
        if not run_id:  # those of no run
            return
        with durable():
            rows = GraphCheckpoint.objects.filter(owner=self.owner, run_id=run_id)
            threads = set(rows.values_list("thread_id", "namespace"))
            for thread_id, namespace in sorted(threads):
                gone = set(
                    rows.filter(thread_id=thread_id, namespace=namespace).values_list("checkpoint_id", flat=True)
                )
                thread_prune(self.owner, thread_id, namespace, gone)

    @_borrowed
    def copy_thread(self, source: str, target: str) -> None:
        """Copy all of a thread into one that is empty. Raises Conflict."""
        for thread_id in (source, target):
            storable_text(thread_id, "thread_id")
        retried(lambda: self._copy(source, target))

    def _copy(self, source: str, target: str) -> None:
        with durable():
            if GraphCheckpoint.objects.filter(owner=self.owner, thread_id=target).exists():
                raise Conflict(f"The thread {target[:100]} holds checkpoints already.", param="target")
            for table, columns in ((_V, _V_COLUMNS), (_C, _C_COLUMNS), (_W, _W_COLUMNS)):
                others = columns.replace("thread_id", "%s", 1)
                _fetch(
                    f"INSERT INTO {table} ({columns}) SELECT {others} FROM {table} WHERE owner = %s AND thread_id = %s"
                    " ON CONFLICT DO NOTHING RETURNING 1",
                    [target, self.owner, source],
                )

    @_borrowed
    def prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        """Keep the newest of each namespace, and for delta channels its history to their last snapshots; or nothing."""
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
            else:
                storable_text(thread_id, "thread_id")
                retried(lambda thread_id=thread_id: self._keep_latest(thread_id))  # type: ignore[misc]

    def _keep_latest(self, thread_id: str) -> None:
        with durable():
            rows = GraphCheckpoint.objects.filter(owner=self.owner, thread_id=thread_id)
            for namespace in sorted(set(rows.values_list("namespace", flat=True))):
                thread_prune(self.owner, thread_id, namespace, None)


def _check_names(row: CheckpointRow) -> None:
    for name, text in (("thread_id", row.thread_id), ("checkpoint_id", row.checkpoint_id)):
        storable_text(text, name)
    storable_text(row.parent_id, "parent_id", empty=True)
    storable_text(row.run_id, "run_id", empty=True)
    storable_text(row.namespace, "checkpoint_ns", longest=LONGEST_NAMESPACE, empty=True)
    for channel, version in row.versions.items():
        storable_text(channel, "channel", longest=LONGEST_CHANNEL)
        storable_text(version, "version", longest=LONGEST_VERSION)
    for one in row.writes:
        storable_text(one.task_id, "task_id")


def _write_values(place: tuple[str, ...], writes: Sequence[WriteRow]) -> list[tuple[Any, ...]]:
    # One statement may not touch a row twice: of two that have one place, the last counts.
    by_place = {(one.task_id, one.idx): one for one in writes}
    return [(*place, one.task_id, one.idx, one.task_path, one.channel, one.kind, one.body) for one in by_place.values()]


def _flat(rows: Iterable[Iterable[Any]]) -> list[Any]:
    return [value for row in rows for value in row]


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _matches(metadata: str, wanted: Mapping[str, Any]) -> bool:
    if not wanted:
        return True
    found = json.loads(metadata)
    return all(name in found and found[name] == value for name, value in wanted.items())


def _all_or_nothing(statements: list[tuple[str, list[Any]]]) -> None:
    """Run the statements in one transaction, on PostgreSQL in one journey there and back."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        *before, (last, values) = statements
        parts = [f"p{place} AS ({sql})" for place, (sql, _) in enumerate(before)]
        whole = f"WITH {', '.join(parts)} {last}" if parts else last
        _execute(whole, [*_flat(values for _, values in before), *values])
        return
    with durable():
        for sql, values in statements:
            _execute(sql, values)


def _execute(sql: str, values: list[Any]) -> None:
    _run(sql, values, fetch=False)


def _fetch(sql: str, values: list[Any]) -> list[Any]:
    return _run(sql, values, fetch=True)


def _run(sql: str, values: list[Any], *, fetch: bool) -> list[Any]:
    """Run a statement past Django's own cursors: on PostgreSQL they write values into the statement as text, and on
    SQLite they cost more than the statement."""
    here = connections[DEFAULT_DB_ALIAS]
    here.ensure_connection()
    with here.wrap_database_errors:
        if here.vendor == "sqlite":
            plain = sqlite3.Cursor(here.connection).execute(_as_sqlite(sql), values)
            return plain.fetchall() if fetch else []
        with psycopg.Cursor(here.connection) as cursor:
            _execute_prepared(cursor, sql.encode(), values)
            return cursor.fetchall() if fetch else []


class _Preparing:
    """Whether statements are prepared: planning these costs more than running them."""

    on = True


def _execute_prepared(cursor: psycopg.Cursor[Any], sql: bytes, values: list[Any]) -> None:
    if _Preparing.on and cursor.connection.prepare_threshold is None:  # Django's choice; its own cursors never prepare
        cursor.connection.prepare_threshold = PREPARED_AFTER
    try:
        cursor.execute(sql, values, binary=True, prepare=None if _Preparing.on else False)
    except (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement):
        # Between this process and the server sits a pooler that hands connections round and does not know of them.
        _Preparing.on = False
        if connection.in_atomic_block:
            raise
        cursor.execute(sql, values, binary=True, prepare=False)


@lru_cache(maxsize=256)
def _as_sqlite(sql: str) -> str:
    return sql.replace("%s", "?")


def _read(chosen: str, values: list[Any]) -> list[CheckpointRow]:
    rows = _fetch(_READ.format(chosen=chosen, values=_VALUES[connection.vendor]), values)
    found: dict[tuple[str, str, str], CheckpointRow] = {}
    held: dict[tuple[str, str, str], tuple[list[ValueRow], list[WriteRow]]] = {}
    for part, thread, namespace, checkpoint, a, b, c, d, idx, e, kind, body in sorted(rows, key=lambda row: row[0]):
        key = (thread, namespace, checkpoint)
        if part == 0:
            held[key] = ([], [])
            found[key] = CheckpointRow(
                thread_id=thread,
                namespace=namespace,
                checkpoint_id=checkpoint,
                parent_id=a,
                metadata=json.loads(b),
                versions=json.loads(c),
                inline=json.loads(d),
                run_id=e,
                kind=kind,
                body=bytes(body),
                values=held[key][0],
                writes=held[key][1],
            )
        elif part == 1:
            held[key][0].append(ValueRow(a, b, kind, bytes(body)))
        else:
            held[key][1].append(WriteRow(a, idx, b, c, kind, bytes(body)))
    return list(found.values())
