"""PostgreSQL through its own programs: a dump, what is in one, and the way back.

Passwords go by the environment of these programs, never by their arguments, which every user of a machine can read.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from agenthub.core.clock import monotonic_seconds
from agenthub.core.databases import APPLICATION_NAME
from agenthub.core.secrets import PRIVATE_FILE
from heartbeat.backups.faults import BackupFailed, BackupUnusable, RestoreRefused

LOCK_WAIT_MS = 60_000
CLOSING_SECONDS = 3.0
"""How long connections that have just been closed may still be listed by the server."""

LONGEST_WORDS = 400
_FOLDERS = "usr/lib/postgresql/*/bin"

Parameters = dict[str, str]


def parameters(database: Mapping[str, Any]) -> Parameters:
    """Django's settings of a database as libpq takes them."""
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {name: str(database.get(key) or "") for name, key in named.items()}
    options = {name: value for name, value in database["OPTIONS"].items() if isinstance(value, str)}
    # Bounds that are set for web processes would end a dump.
    options.pop("options", None)
    return {name: value for name, value in (options | given).items() if value}


def dump(database: Parameters, target: Path) -> None:
    """The whole database in pg_dump's own format, of one moment. Raises BackupFailed."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        arguments = ["--format=custom", "--no-password", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
        said = _run("pg_dump", [*arguments, f"--dbname={_address(database)}"], database, stdout=handle)
    finally:
        os.close(handle)
    if said is not None:
        raise BackupFailed(f"pg_dump has failed: {said}")


def check(file: Path) -> int:
    """How many tables a dump holds, as pg_restore reads its list. Raises BackupUnusable."""
    listed = subprocess.run(  # noqa: S603 - our own arguments
        [_program("pg_restore"), "--list", str(file)], capture_output=True, text=True, check=False
    )
    tables = sum(" TABLE DATA " in line for line in listed.stdout.splitlines())
    if listed.returncode or not tables:
        raise BackupUnusable(f"pg_restore does not take {file.name}: {_words(listed.stderr) or 'it holds no table'}")
    return tables


def restore(database: Parameters, file: Path) -> None:
    """Put a dump in the place of all tables, in one transaction after they are gone. Raises BackupUnusable."""
    _empty(database)
    arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--no-password"]
    said = _run("pg_restore", [*arguments, f"--dbname={_address(database)}", str(file)], database)
    if said is not None:
        raise BackupUnusable(f"pg_restore has failed: {said}")


def refuse_used(database: Parameters) -> None:
    """Raises RestoreRefused while a hub, here or on another machine, is connected to the database, or none answers."""
    deadline = monotonic_seconds() + CLOSING_SECONDS
    while open_now := _hub_connections(database):
        if monotonic_seconds() > deadline:
            raise RestoreRefused(
                f"{open_now} connections of a running hub are open on the database. Stop every node, then restore."
            )
        time.sleep(0.05)


def _hub_connections(database: Parameters) -> int:
    own = {**database, "application_name": "agenthub restore"}
    try:
        with psycopg.connect(**own) as connection:  # type: ignore[arg-type]
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                [APPLICATION_NAME],
            ).fetchone()
    except psycopg.Error as problem:
        raise RestoreRefused(f"The database does not answer: {_words(str(problem))}") from None
    return int(row[0]) if row is not None else 0


def _empty(database: Parameters) -> None:
    with psycopg.connect(**database) as connection:  # type: ignore[arg-type]
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
        ).fetchall()
        if tables:
            names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in tables)
            connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(names))


def _address(database: Parameters) -> str:
    return make_conninfo(**{name: value for name, value in database.items() if "password" not in name})


def _run(program: str, arguments: list[str], database: Parameters, *, stdout: int | None = None) -> str | None:
    """What it says when it fails; None where it succeeds."""
    environ = {**os.environ, "PGPASSWORD": database["password"]} if "password" in database else None
    done = subprocess.run(  # noqa: S603 - our own arguments
        [_program(program), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return (_words(done.stderr) or f"exit code {done.returncode}") if done.returncode else None


def _program(name: str) -> str:
    """Raises BackupFailed."""
    found = shutil.which(name) or max(map(str, Path("/").glob(f"{_FOLDERS}/{name}")), default=None)
    if found is None:
        raise BackupFailed(f"{name} is not on this machine. Install the client programs of PostgreSQL.")
    return found


def _words(text: str) -> str:
    return " ".join(text.split())[:LONGEST_WORDS]
