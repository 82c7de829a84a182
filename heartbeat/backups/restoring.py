"""Bringing a backup back. The hub must not run; what is replaced is kept.

A mark lies in the data folder from before the first change until after the last. A hub does not start on such a folder,
so that nobody takes a half-restored one for a new one; to restore again, from any backup, completes it.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, connections

from agenthub.core.crypto import KeyRing
from agenthub.core.secrets import private_folder
from heartbeat.backups import archive, postgres
from heartbeat.backups.archive import Backup
from heartbeat.backups.faults import RestoreRefused
from heartbeat.backups.making import backup_make, backup_verify

MARK = "restore.unfinished"
_BESIDE = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done, and where what was there before is kept."""

    backup: str
    kept: tuple[str, ...]
    warnings: tuple[str, ...]


def backup_restore(backup: Backup, *, now: datetime) -> Restored:
    """Put database and journal of a backup in the place of those that are there.

    The caller holds the lock of the data folder. Raises BackupUnusable or RestoreRefused before anything is touched,
    and BackupError in between, after which a restore must be tried again.
    """
    _refuse_other_kind(backup)
    backup_verify(backup)
    stamp = f"replaced-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    kept = _postgres_restored(backup, now) if backup.database == "postgresql" else _sqlite_restored(backup, stamp)
    kept += _journal_restored(backup, stamp)
    _mark().unlink()
    archive.synced(_mark().parent)
    return Restored(backup.name, tuple(kept), tuple(_warnings(backup)))


def _refuse_other_kind(backup: Backup) -> None:
    if backup.database != connection.vendor:
        raise RestoreRefused(
            f"Backup {backup.name} is of a {backup.database} database, and this hub uses {connection.vendor}. "
            "Set DATABASE_URL to what it was then."
        )


def _postgres_restored(backup: Backup, now: datetime) -> list[str]:
    database = postgres.parameters(connection.settings_dict)
    _let_go()
    postgres.refuse_used(database)
    kept = [] if _mark().exists() else [str(backup_make(now=now, why="before_restore").folder)]
    _let_go()
    _set_mark()
    postgres.restore(database, backup.database_file)
    return kept


def _let_go() -> None:
    """End this process's own connections, which must not count as those of a running hub."""
    connections["default"].close()
    if "pool" in connections["default"].settings_dict["OPTIONS"]:
        connections["default"].close_pool()  # type: ignore[attr-defined]


def _sqlite_restored(backup: Backup, stamp: str) -> list[str]:
    connection.close()
    file = Path(connection.settings_dict["NAME"])
    arriving = file.with_name(f".{file.name}.arriving")
    arriving.unlink(missing_ok=True)
    _copied(backup.database_file, arriving)
    _set_mark()
    kept = []
    # The log first: a database without its log is older, a log beside another database would damage it.
    for ending in reversed(_BESIDE):
        there = file.with_name(file.name + ending)
        if there.exists():
            aside = file.with_name(f"{file.name}.{stamp}{ending}")
            there.rename(aside)
            kept.append(str(aside))
    arriving.rename(file)
    archive.synced(file.parent)
    return kept


def _journal_restored(backup: Backup, stamp: str) -> list[str]:
    folder: Path = settings.ENVIRONMENT.journal_dir
    kept = []
    if folder.exists() and any(folder.iterdir()):
        aside = folder.with_name(f"{folder.name}.{stamp}")
        folder.rename(aside)
        kept.append(str(aside))
    private_folder(folder)
    for path in sorted((backup.folder / archive.JOURNAL).glob("*")):
        _copied(path, folder / path.name)
    archive.synced(folder)
    return kept


def _copied(source: Path, target: Path) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as reading, os.fdopen(handle, "wb") as writing:
        while piece := reading.read(1024 * 1024):
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())


def _mark() -> Path:
    folder: Path = settings.ENVIRONMENT.data_dir
    return folder / MARK


def _set_mark() -> None:
    _mark().write_text("Run “agenthub restore” again.\n")
    archive.synced(_mark())
    archive.synced(_mark().parent)


def _warnings(backup: Backup) -> list[str]:
    ring = KeyRing.from_text(settings.ENVIRONMENT.encryption_key)
    if ring.holds(backup.key_id):
        return []
    return [
        f"The backup's secrets were sealed with the key {backup.key_id}, which is not in AGENTHUB_ENCRYPTION_KEY: "
        "add that key, or enter the provider keys again."
    ]
