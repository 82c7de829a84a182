"""SQLite files: whether they are whole, and copies of them while others write."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from agenthub.core.secrets import PRIVATE_FILE
from heartbeat.backups.faults import BackupFailed

_BUSY_SECONDS = 20


def damage(file: Path, *, quick: bool = False) -> str:
    """The first thing that is wrong with a database file; "" where it is whole.

    `quick` leaves out the comparison of indexes with their tables.
    """
    try:
        with closing(_reading(file)) as connection:
            (words,) = connection.execute(f"PRAGMA {'quick_check' if quick else 'integrity_check'}(1)").fetchone()
    except sqlite3.OperationalError as problem:
        # Not readable, or busy for long: no word about what is in it.
        raise BackupFailed(f"{file} can't be read: {problem}.") from None
    except sqlite3.DatabaseError as problem:
        return str(problem)
    return "" if words == "ok" else str(words)


def copy(source: Path, target: Path) -> None:
    """A copy of one moment, made by SQLite's online backup; those who write meanwhile are not kept waiting.

    All pages in one step: in WAL mode that is one reading transaction, while a copy in several would begin again at
    each write of another process. Raises BackupFailed.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    try:
        with closing(_reading(source)) as here, closing(sqlite3.connect(target)) as there:
            here.backup(there, pages=-1)
            # A file alone: whoever opens the copy later needs no log beside it.
            there.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as problem:
        raise BackupFailed(f"{source} could not be copied: {problem}.") from None


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
