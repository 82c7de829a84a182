"""One hub per data folder."""

import fcntl
import os
from pathlib import Path

from agenthub.up.preflight import CantStart

FILE_NAME = "hub.lock"


class HubLock:
    """Held by the hub that runs on a data folder; the system lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises CantStart with the other hub's process number."""
        self._handle = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        before = os.read(self._handle, 32).decode(errors="replace").strip()
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise CantStart(
                f"Another hub (process {before or 'unknown'}) runs on the data folder {folder}. "
                "Stop it, or give another folder in AGENTHUB_DATA_DIR."
            ) from None
        self.after_crash = before != ""  # the hub before this one was killed
        self._write(str(os.getpid()))

    def release(self) -> None:
        """Let go, and leave word that the end was a good one."""
        self._write("")
        os.close(self._handle)

    def _write(self, text: str) -> None:
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)


def holder(folder: Path) -> int | None:
    """The process number of the hub that runs on a data folder; None where none does."""
    try:
        handle = os.open(folder / FILE_NAME, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(handle, 32).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(handle)
    return None
