"""Backups as folders: their names, what their manifest says, and that half of one never looks like a whole.

A backup is written under a hidden name, brought to the disk, and renamed last. What carries a plain name is whole.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agenthub.core.secrets import PRIVATE_FILE, private_folder
from heartbeat.backups.faults import BackupFailed, BackupUnusable

FORMAT = 1
MANIFEST = "manifest.json"
JOURNAL = "journal"
LOCK = ".lock"
HIDDEN = ".unfinished-"
_NAME = re.compile(r"agenthub-\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One whole backup."""

    name: str
    folder: Path
    made_at: datetime
    database: str  # sqlite, postgresql
    version: str  # of the AgentHub that made it
    why: str  # daily, asked, before_restore
    size_bytes: int
    key_id: str  # of the encryption key that its secrets were sealed with; the key itself is not inside
    checksums: dict[str, str]  # of its files by their names, SHA-256

    @property
    def database_file(self) -> Path:
        """The copy of the database."""
        return self.folder / database_name(self.database)


def database_name(kind: str) -> str:
    """What the copy of a database is called."""
    return "database.sqlite3" if kind == "sqlite" else "database.dump"


def backups(folder: Path) -> list[Backup]:
    """All whole backups of a folder, the newest first."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file():
            found.append(_read(path))
    return sorted(found, key=lambda backup: (backup.made_at, backup.name), reverse=True)


def backup_named(folder: Path, name: str) -> Backup:
    """One backup by its name. Raises BackupUnusable."""
    if not _NAME.fullmatch(name) or not (folder / name / MANIFEST).is_file():
        raise BackupUnusable(f"There is no backup {name} in {folder}; “agenthub backup --list” shows those that are.")
    return _read(folder / name)


def check_files(backup: Backup) -> None:
    """That every file is there and as it was written. Raises BackupUnusable."""
    for name, checksum in backup.checksums.items():
        file = backup.folder / name
        if not file.is_file() or checksum_of(file) != checksum:
            raise BackupUnusable(f"{name} of backup {backup.name} is missing or damaged; use another backup.")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time writes to a folder of backups. Raises BackupFailed."""
    try:
        private_folder(folder)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as problem:
        raise BackupFailed(
            f"The folder for backups {folder} can't be used ({problem.strerror}). Give another in AGENTHUB_BACKUP_DIR."
        ) from None
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupFailed(f"Another backup is being made in {folder}.") from None


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder to write a backup into; what is left in it when the block ends, or of a killed process, goes."""
    for left in folder.glob(HIDDEN + "*"):
        shutil.rmtree(left, ignore_errors=True)
    hidden = folder / f"{HIDDEN}{os.getpid()}"
    hidden.mkdir(mode=0o700)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def finished(hidden: Path, *, now: datetime, kind: str, version: str, why: str, key_id: str) -> Backup:
    """Give what was written its manifest and its name, once all of it is on the disk. Raises OSError."""
    files = sorted(path for path in hidden.rglob("*") if path.is_file())
    manifest = {
        "format": FORMAT,
        "agenthub": version,
        "made_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "database": kind,
        "why": why,
        "encryption_key": {"inside": False, "id": key_id},
        "files": {
            str(path.relative_to(hidden)): {"bytes": path.stat().st_size, "sha256": checksum_of(path)} for path in files
        },
    }
    (hidden / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for path in (*files, hidden / MANIFEST, *(path for path in hidden.rglob("*") if path.is_dir()), hidden):
        synced(path)
    target = _free_name(hidden.parent, now)
    hidden.rename(target)
    synced(target.parent)
    return _read(target)


def prune(folder: Path, *, now: datetime, days: int) -> list[str]:
    """Remove the backups older than so many days, but never the newest one; the names of those that went."""
    gone = []
    for backup in backups(folder)[1:]:
        if backup.made_at < now - timedelta(days=days):
            # Out of sight first: one that is half removed must not look whole either.
            hidden = backup.folder.rename(folder / f"{HIDDEN}{backup.name}")
            shutil.rmtree(hidden, ignore_errors=True)
            gone.append(backup.name)
    return gone


def synced(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _free_name(folder: Path, now: datetime) -> Path:
    name = f"agenthub-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    candidates = (folder / (name if number == 1 else f"{name}-{number}") for number in range(1, 1000))
    return next(path for path in candidates if not path.exists())


def _read(folder: Path) -> Backup:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            raise BackupUnusable(f"Backup {folder.name} has a format that this version does not know.")
        return Backup(
            name=folder.name,
            folder=folder,
            made_at=datetime.fromisoformat(manifest["made_at"]),
            database=manifest["database"],
            version=manifest["agenthub"],
            why=manifest["why"],
            size_bytes=sum(file["bytes"] for file in manifest["files"].values()),
            key_id=manifest["encryption_key"]["id"],
            checksums={_inside(name): file["sha256"] for name, file in manifest["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BackupUnusable(f"The manifest of backup {folder.name} can't be read ({problem}).") from None


def _inside(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name!r} is outside")
    return name
