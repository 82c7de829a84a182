"""Making backups: database and journal of one hub, verified by opening what was written."""

import contextlib
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from agenthub.core.crypto import KeyRing
from agenthub.core.events import AlertRaised, AlertResolved, publish
from agenthub.core.secrets import PRIVATE_FILE
from agenthub.core.version import VERSION
from heartbeat.backups import archive, postgres, sqlite
from heartbeat.backups.archive import Backup
from heartbeat.backups.faults import BackupError, BackupFailed, BackupUnusable

log = logging.getLogger(__name__)

ALERT_RULE = "backup_failed"
MIB = 1024 * 1024
SPARE_BYTES = 10 * MIB
"""Room that a backup leaves on the disk, on which the hub may live too."""

DAY = timedelta(hours=23, minutes=30)
"""Backups that are made each day may be a little early, or they would come later and later."""


def backup_make(*, now: datetime, why: str) -> Backup:
    """Make a backup and verify it. Raises BackupFailed, after an alert; a success resolves it."""
    try:
        made = _made(now, why)
    except BackupError as problem:
        log.error("backup_failed", extra={"reason": str(problem)})
        _tell(AlertRaised(rule=ALERT_RULE, severity="critical", source=_source(), summary=str(problem)))
        raise
    _tell(AlertResolved(rule=ALERT_RULE, source=_source()))
    return made


def backup_daily(*, now: datetime, days: int) -> str:
    """The name of the backup of the day, if it was time for one, else ""; those past their `days` are removed."""
    folder = settings.ENVIRONMENT.backup_dir
    if days == 0:
        return ""
    daily = [backup for backup in archive.backups(folder) if backup.why != "before_restore"]
    if daily and daily[0].made_at > now - DAY:
        return ""
    name = backup_make(now=now, why="daily").name
    with archive.locked(folder):
        archive.prune(folder, now=now, days=days)
    return name


def backup_verify(backup: Backup) -> None:
    """Open everything in a backup. Raises BackupUnusable."""
    archive.check_files(backup)
    if backup.database == "postgresql":
        postgres.check(backup.database_file)
    elif found := sqlite.damage(backup.database_file):
        raise BackupUnusable(f"The database in backup {backup.name} is damaged: {found}. Use another backup.")


def _made(now: datetime, why: str) -> Backup:
    environment = settings.ENVIRONMENT
    folder, kind = environment.backup_dir, connection.vendor
    try:
        with archive.locked(folder), archive.unfinished(folder) as hidden, _held(environment.journal_dir) as held:
            _check_room(folder, environment.journal_dir)
            # The journal was opened before and is read after: whatever the database has not, the journal has.
            _copy_database(hidden / archive.database_name(kind))
            _copy_journal(held, environment.journal_dir, hidden / archive.JOURNAL)
            key_id = KeyRing.from_text(environment.encryption_key).first
            _check_copy(hidden / archive.database_name(kind))
            return archive.finished(hidden, now=now, kind=kind, version=VERSION, why=why, key_id=key_id)
    except OSError as problem:
        raise BackupFailed(f"The backup could not be written to {folder}: {problem.strerror or problem}.") from None


def _check_room(folder: Path, journal: Path) -> None:
    needed = SPARE_BYTES + sum(path.stat().st_size for path in _journal_files(journal))
    if connection.vendor == "sqlite":
        needed += Path(connection.settings_dict["NAME"]).stat().st_size
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupFailed(
            f"The disk of {folder} has {free // MIB} MB left, and a backup needs {needed // MIB}. "
            "Make room, or give another folder in AGENTHUB_BACKUP_DIR."
        )


def _copy_database(target: Path) -> None:
    if connection.vendor == "postgresql":
        postgres.dump(postgres.parameters(connection.settings_dict), target)
        return
    source = Path(connection.settings_dict["NAME"])
    if found := sqlite.damage(source, quick=True):
        raise BackupFailed(f"The database {source} is damaged: {found}. Bring back a backup with “agenthub restore”.")
    sqlite.copy(source, target)


def _check_copy(file: Path) -> None:
    if connection.vendor == "postgresql":
        postgres.check(file)
    elif found := sqlite.damage(file):
        raise BackupFailed(f"The copy of the database is damaged: {found}. Look after the disk.")


def _journal_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_file())


@contextmanager
def _held(folder: Path) -> Iterator[dict[str, int]]:
    """The files of the journal by their names, open: a flusher may delete them meanwhile."""
    with contextlib.ExitStack() as stack:
        held: dict[str, int] = {}
        for path in _journal_files(folder):
            with contextlib.suppress(FileNotFoundError):
                held[path.name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, held[path.name])
        yield held


def _copy_journal(held: dict[str, int], folder: Path, target: Path) -> None:
    """Those that were open, and those that have come since."""
    target.mkdir(mode=0o700)
    with _held(folder) as newer:
        for name, handle in (newer | held).items():
            with os.fdopen(os.dup(handle), "rb") as source:
                copy = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
                with os.fdopen(copy, "wb") as written:
                    shutil.copyfileobj(source, written)


def _tell(event: AlertRaised | AlertResolved) -> None:
    try:
        publish(event)
    except DatabaseError as problem:
        # It may be the reason why the backup has failed; the log has said so.
        log.warning("backup_alert_not_written", extra={"reason": str(problem).strip()})
        connection.close()


def _source() -> str:
    return f"backup:{socket.gethostname()}"
