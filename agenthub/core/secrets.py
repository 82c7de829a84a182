"""The secrets that an embedded hub makes for itself, once, in a file that only its user can read."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from agenthub.core.env import EnvError

FILE_NAME = "secrets.env"
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600

GENERATORS: dict[str, Callable[[], str]] = {
    "AGENTHUB_ENCRYPTION_KEY": lambda: secrets.token_hex(32),
    "AGENTHUB_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "AGENTHUB_ADMIN_TOKEN": lambda: secrets.token_urlsafe(32),
}
_HEADING = "# Made by AgentHub at its first start. Keep a copy in a safe place: without AGENTHUB_ENCRYPTION_KEY\n"
_HEADING += "# the stored provider keys can't be read. The same names in the environment win over this file.\n"


def stored_secrets(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The secrets called `names` out of the data folder; those that are missing are made and stored first.

    Processes that start at the same moment agree: the folder is locked while the file is read and written, and the
    file is replaced as a whole. Raises EnvError when the folder can't be used.
    """
    wanted = tuple(names)
    try:
        private_folder(folder)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _read_or_make(folder / FILE_NAME, wanted)
        finally:
            os.close(lock)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise EnvError(
            f"AGENTHUB_DATA_DIR: {folder} can't be used ({reason}). Give a folder that this user may write."
        ) from None


def stored_secret(folder: Path, name: str) -> str | None:
    """One secret out of the data folder, None where it is not there; nothing is made. Raises EnvError."""
    file = folder / FILE_NAME
    try:
        return _parsed(file.read_text(encoding="utf-8")).get(name) or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise EnvError(f"AGENTHUB_DATA_DIR: {file} can't be read; see to its owner and mode.") from None


def private_folder(folder: Path) -> None:
    """Make `folder` where it is missing, and keep others out of it."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    if folder.stat().st_mode & 0o077:
        folder.chmod(PRIVATE_FOLDER)


def _read_or_make(file: Path, names: tuple[str, ...]) -> dict[str, str]:
    stored = _parsed(file.read_text(encoding="utf-8")) if file.exists() else {}
    missing = [name for name in names if not stored.get(name)]
    if missing:
        stored |= {name: GENERATORS[name]() for name in missing}
        _replace(file, _HEADING + "".join(f"{name}={value}\n" for name, value in stored.items()))
    return {name: stored[name] for name in names}


def _parsed(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _replace(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
