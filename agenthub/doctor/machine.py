"""What `agenthub doctor` looks at on this machine: configuration, files, disk, key, backups."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core import checks

from agenthub.core.crypto import KeyRing
from agenthub.core.environment import Environment, is_loopback
from agenthub.core.secrets import FILE_NAME, PRIVATE_FILE
from agenthub.doctor.finding import Finding, failed, ok, skipped, warning
from heartbeat.backups.archive import backups
from heartbeat.backups.faults import BackupError
from proxy.journal import folder_bytes

LEAST_FREE_BYTES, LITTLE_FREE_BYTES = 100 * 1024**2, 1024**3
OLD_BACKUP = timedelta(days=2)
NOTED_FILE = "encryption-key.noted"
MIB = 1024**2
_MOST_NAMED = 3


def configuration() -> Iterator[Finding]:
    """The environment was read already, or no command would run; these are the checks of what it means together."""
    found = checks.run_checks(include_deployment_checks=settings.ENVIRONMENT.behind_tls)
    serious = [each for each in found if each.level >= checks.WARNING and not each.is_silenced()]
    for each in serious:
        advice = str(each.hint or "Correct the setting.")
        make = failed if each.level >= checks.ERROR else warning
        yield make("configuration", f"{each.msg} ({each.id})", advice)
    if not serious:
        yield ok("configuration", "The variables and settings agree.")


def reverse_proxy() -> Finding:
    """Whether a hub that is reached from elsewhere knows how (public URL, trusted proxies)."""
    environment = settings.ENVIRONMENT
    if is_loopback(environment.host) and environment.public_url is None:
        return skipped("reverse proxy", "Only this machine reaches the hub.")
    if environment.public_url is None:
        return warning(
            "reverse proxy",
            f"The hub listens on {environment.host}, and AGENTHUB_PUBLIC_URL is not set.",
            "Set it to the address that people use; with https: cookies become secure.",
        )
    if not environment.behind_tls:
        return warning(
            "reverse proxy",
            "AGENTHUB_PUBLIC_URL is not an https: address, so passwords and keys travel in the clear.",
            "Put a reverse proxy with a certificate in front.",
        )
    if not environment.trusted_proxies:
        return warning(
            "reverse proxy",
            "AGENTHUB_TRUSTED_PROXIES is not set, so the hub does not believe who it is told the caller is.",
            "Name the addresses of the reverse proxy there.",
        )
    return ok("reverse proxy", f"People reach the hub at {environment.public_url}.")


def disk() -> Iterator[Finding]:
    """Room in the folders that the hub writes to."""
    environment = settings.ENVIRONMENT
    folders = [("AGENTHUB_DATA_DIR", environment.data_dir), ("AGENTHUB_BACKUP_DIR", environment.backup_dir)]
    if environment.log_dir is not None:
        folders.append(("AGENTHUB_LOG_DIR", environment.log_dir))
    for variable, folder in folders:
        yield _room(variable, folder)
    yield _journal(environment)


def _room(variable: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        return failed("disk", f"This user may not write to {there}.", f"Change its owner, or give another {variable}.")
    free = shutil.disk_usage(there).free
    words = f"{folder} has {free // MIB} MB of room."
    advice = f"Make room, or give another folder in {variable}."
    if free < LEAST_FREE_BYTES:
        return failed("disk", words, advice)
    return warning("disk", words, advice) if free < LITTLE_FREE_BYTES else ok("disk", words)


def _journal(environment: Environment) -> Finding:
    size = folder_bytes(environment.journal_dir)
    words = f"The journal holds {size / MIB:.1f} MB."
    if size > 256 * MIB:
        return warning("journal", words, "Look in the log of the flusher for what keeps it from the database.")
    return ok("journal", words)


def permissions() -> Finding:
    """That what the hub writes is its own and nobody else's."""
    folder: Path = settings.ENVIRONMENT.data_dir
    if not folder.exists():
        return skipped("permissions", f"{folder} is not there yet.")
    wrong = [path for path in (folder, *folder.rglob("*")) if _is_open(path)]
    if not wrong:
        return ok("permissions", f"Only its user can read {folder}.")
    named = ", ".join(map(str, wrong[:_MOST_NAMED])) + (" …" if len(wrong) > _MOST_NAMED else "")
    make = failed if folder in wrong or folder / FILE_NAME in wrong else warning
    return make(
        "permissions",
        f"{len(wrong)} files or folders can be read by others, or belong to another user: {named}.",
        f"As their owner: chmod -R go= {folder}; as root: chown -R the user that the hub runs as.",
    )


def _is_open(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False  # gone since
    return found.st_uid != os.geteuid() or (not path.is_symlink() and bool(found.st_mode & 0o077))


def encryption_key() -> Finding:
    """Whether the encryption key is anywhere but in this data folder."""
    environment = settings.ENVIRONMENT
    key_id = KeyRing.from_text(environment.encryption_key).first
    if os.environ.get("AGENTHUB_ENCRYPTION_KEY"):
        return ok("encryption key", f"The key {key_id} comes from the environment.")
    if _noted(environment) == _mark(environment):
        return ok("encryption key", f"Somebody has noted the key {key_id}.")
    return warning(
        "encryption key",
        f"The key {key_id} is in {environment.data_dir / FILE_NAME} and, for all that is known, nowhere else. "
        "Backups do not hold it; without it no stored provider key can be read.",
        "Copy that file to a safe place, then run “agenthub doctor --key-noted”.",
    )


def note_key() -> None:
    """Remember that somebody has a copy of the present key; a new key asks again."""
    file = settings.ENVIRONMENT.data_dir / NOTED_FILE
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(handle, "w") as stream:
        stream.write(_mark(settings.ENVIRONMENT) + "\n")


def _noted(environment: Environment) -> str:
    try:
        return (environment.data_dir / NOTED_FILE).read_text().strip()
    except OSError:
        return ""


def _mark(environment: Environment) -> str:
    return hashlib.sha256(b"agenthub key noted" + environment.encryption_key.encode()).hexdigest()[:16]


def newest_backup(*, now: datetime, days: int) -> Finding:
    """Whether there is a backup that is not old."""
    folder = settings.ENVIRONMENT.backup_dir
    if days == 0:
        return skipped("backup", "backup_retention_days is 0: the hub makes none by itself.")
    try:
        found = backups(folder)
    except (BackupError, OSError) as problem:
        return failed("backup", str(problem), f"Move it out of {folder}.")
    advice = "Run “agenthub backup” and see what it says."
    if not found:
        return warning("backup", f"There is no backup in {folder} yet.", advice)
    words = f"The newest backup is {found[0].name}."
    return warning("backup", words, advice) if found[0].made_at < now - OLD_BACKUP else ok("backup", words)
