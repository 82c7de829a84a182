"""The queue of an embedded hub: kombu's filesystem transport, with messages that are whole whenever they are seen.

The stock transport writes a message in place, where a reader may find half of it, and moves it through the shared
temporary folder. Here a message is written under another name, synced and renamed, and all folders are private.
A message lives in its file until a worker takes it: what was taken and not done when a worker is killed is gone, so
jobs are found again from the database, never from here.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

from agenthub.core.secrets import private_folder

SCHEME = "spool"
POLLING_SECONDS = 0.1

TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def spool_options(folder: Path, *, longest_wait_seconds: float | None = None) -> dict[str, Any]:
    """Transport options for a queue below `folder`.

    A worker looks only between its waits for messages whether it is to stop: `longest_wait_seconds` bounds them.
    """
    return {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "processed_folder": str(folder / "taken"),
        "control_folder": str(folder / "control"),
        "polling_interval": POLLING_SECONDS,
        "longest_wait_seconds": longest_wait_seconds,
    }


class Channel(filesystem.Channel):
    """Writes and takes messages by rename, which is atomic."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.processed_folder, self.control_folder):
            private_folder(Path(folder))

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        _write_whole(Path(self.data_folder_in) / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = Path(self.processed_folder) / name
            # Another worker may have been quicker.
            with suppress(FileNotFoundError):
                Path(self.data_folder_in, name).rename(taken)
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
                return loads(text)
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        binding = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with _alone(self.control_folder):
            table = self.get_table(exchange)
            if binding not in table:
                _write_whole(Path(self.control_folder) / f"{exchange}.exchange", dumps([binding, *table]))


class Transport(filesystem.Transport):
    """The transport behind `spool://`."""

    Channel = Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self._longest_wait_seconds = client.transport_options.get("longest_wait_seconds")

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]
        """Wait for a message: as long as asked, but not longer than `longest_wait_seconds` of the options."""
        waits = [seconds for seconds in (timeout, self._longest_wait_seconds) if seconds is not None]
        super().drain_events(connection, timeout=min(waits, default=None))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_whole(file: Path, text: str) -> None:
    temporary = file.with_name(f".{uuid.uuid4().hex}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(file)
