"""Reading a Sidecar V2 database: an SQLite file that is never written to, also while its Sidecar runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agenthub.core.errors import BadRequest

TABLES: dict[str, tuple[str, ...]] = {
    "backends": (
        "id",
        "name",
        "label",
        "api_base_url",
        "api_key_encrypted",
        "api",
        "timeout_seconds",
        "rpm_limit",
        "pool",
        "enabled",
        "model_mappings_json",
        "metadata_json",
    ),
    "backend_usage_logs": (
        "id",
        "backend_id",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "request_count",
        "error_count",
        "avg_latency_ms",
        "ttft_ms",
        "hour_bucket",
    ),
    "cooldown_events": (
        "id",
        "backend_id",
        "consecutive_count",
        "cooldown_seconds",
        "response_summary",
        "started_at",
        "ended_at",
    ),
    "system_config": ("key", "value"),
    "daily_stats": (
        "id",
        "date",
        "pool",
        "total_requests",
        "total_errors",
        "total_tokens",
        "total_cost",
        "unique_backends",
    ),
}
"""The tables and columns that are read. `backend_health` is not: a hub finds out itself how its backends are."""

BUSY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class SidecarTables:
    """The tables of one moment."""

    _connection: sqlite3.Connection

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table, in a fixed order."""
        columns = TABLES[table]
        names = ", ".join(f'"{column}"' for column in columns)
        for row in self._connection.execute(f'SELECT {names} FROM "{table}" ORDER BY "{columns[0]}"'):  # noqa: S608
            yield dict(zip(columns, row, strict=True))


@contextmanager
def sidecar_opened(path: Path) -> Iterator[SidecarTables]:
    """The tables of a Sidecar V2 database, all as they are at one moment. Raises BadRequest."""
    if not path.is_file():
        raise BadRequest(f"{path} is not there, or is no file.")
    connection = None
    try:
        connection = _connection(path)
        _check(connection, path)
        yield SidecarTables(connection)
    except sqlite3.Error as problem:
        # What SQLite says may quote the file.
        raise BadRequest(f"{path} {_words(problem)}") from None
    finally:
        if connection is not None:
            connection.close()


def _connection(path: Path) -> sqlite3.Connection:
    try:
        return _begun(path, "mode=ro")
    except sqlite3.OperationalError:
        # In WAL mode even a reader wants to write beside the file. Where it can't, and nothing waits in a log, the
        # file alone is the whole database.
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        return _begun(path, "mode=ro&immutable=1")


def _begun(path: Path, options: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    for table, columns in TABLES.items():
        there = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
        if not there:
            raise BadRequest(f"{path} is no Sidecar V2 database: it has no table {table}.")
        missing = [column for column in columns if column not in there]
        if missing:
            raise BadRequest(f"{path} is no Sidecar V2 database: its table {table} has no column {missing[0]}.")


def _words(problem: sqlite3.Error) -> str:
    text = str(problem)
    if "not a database" in text:
        return "is no SQLite database."
    if "locked" in text or "busy" in text:
        return "is locked by another program; try again, or stop that Sidecar."
    if "unable to open" in text or "readonly" in text:
        return "can't be opened; copy it, with the files -wal and -shm beside it, to a folder that you may write."
    return "is damaged; make a copy of it by “sqlite3 FILE '.recover'” and import that."
