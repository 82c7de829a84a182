"""Reading the segments that journals write: following live ones, and taking over those of dead writers."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.journal import SEGMENT_SUFFIX, segments
from proxy.rules.frames import HEADER, scan
from proxy.rules.record import Continued, JournalEntry, RequestBegun, RequestEnded

CORRUPT_SUFFIX = ".corrupt"
"""The ending of a segment that is kept for people to look at, since a part of it could not be read."""

ENTRIES_PER_TRANSACTION = 600
"""How many entries a flusher brings into the database at once: what stands further behind a segment's position is not
in the database, whatever has befallen the flusher."""

_FIRST_READ_BYTES = 256 * 1024
_RESTORED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """What stands between two positions of a segment."""

    start: int
    end: int
    entries: list[JournalEntry]
    damaged_bytes: int = 0

    @property
    def records(self) -> list[RequestEnded]:
        """The whole records among the entries."""
        return [entry for entry in self.entries if isinstance(entry, RequestEnded)]


class UnknownFormat(Exception):
    """The file does not start like a segment of this version."""


class Segment:
    """One segment, read on from `position`. What stands before it is looked at for requests still open, no more."""

    def __init__(self, path: Path, position: int) -> None:
        self.path = path
        self.id = path.name.removesuffix(SEGMENT_SUFFIX)
        self.position = 0
        self.damaged_bytes = 0  # unreadable, and yet followed by whole entries
        self._open: dict[str, RequestBegun] = {}  # beginnings without an end before `position`
        self._continued = False
        self._doubted_at = -1
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.pread(self._fd, len(HEADER), 0) != HEADER:
                raise UnknownFormat(path.name)
            self._restore(position)
        except BaseException:
            self.close()
            raise

    @property
    def interrupted(self) -> list[RequestBegun]:
        """The requests that the writer's death has cut off, if it is dead and all is read."""
        return [] if self._continued else list(self._open.values())

    def dead(self) -> bool:
        """Whether the writer has let go of the segment; if so, it is ours until `close`."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def read(self, *, limit: int, dead: bool) -> Stretch:
        """The next entries, up to `limit`; none if there is nothing whole to read yet. `passed` goes on behind them."""
        stretch = self._read(limit)
        if stretch.damaged_bytes and not dead and self._doubted_at != stretch.start:
            # A writer may just be replacing a torn entry: what is still there at the next reading is damage.
            self._doubted_at = stretch.start
            return Stretch(stretch.start, stretch.start, [])
        return stretch

    def passed(self, stretch: Stretch) -> None:
        """Go on behind `stretch`, which is in the database."""
        for entry in stretch.entries:
            if isinstance(entry, RequestBegun):
                self._open[entry.id] = entry
            elif isinstance(entry, RequestEnded):
                self._open.pop(entry.id, None)
            else:
                self._continued = isinstance(entry, Continued)
        self.position = stretch.end
        self.damaged_bytes += stretch.damaged_bytes

    def delete(self) -> None:
        """Remove the file, or put it aside if a part of it could not be read."""
        with contextlib.suppress(FileNotFoundError):
            if self.damaged_bytes:
                self.path.rename(self.path.with_suffix(CORRUPT_SUFFIX))
            else:
                self.path.unlink()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _restore(self, position: int) -> None:
        while self.position < position:
            stretch = self._read(_RESTORED_AT_ONCE, until=position)
            if not stretch.entries:
                break
            self.passed(stretch)
        # Also behind the end of a file that lost its tail with the power: what is gone there is in the database.
        self.position = position

    def _read(self, limit: int, until: int | None = None) -> Stretch:
        return read_stretch(self._fd, self.position, limit=limit, until=until)


def read_stretch(fd: int, position: int, *, limit: int, until: int | None = None) -> Stretch:
    """Entries of an open segment behind a position. It reads little, and more only where that holds no whole entry."""
    start = max(position, len(HEADER))
    size = _FIRST_READ_BYTES
    while True:
        wanted = size if until is None else min(size, until - start)
        data = os.pread(fd, wanted, start)
        found = scan(data, limit=limit)
        if found.entries or len(data) < size:
            break
        size *= 4
    end = start + found.end if found.entries else position
    return Stretch(position, end, found.entries, found.damaged_bytes)


@contextmanager
def held_segments(folder: Path) -> Iterator[dict[str, int]]:
    """The segments of a folder, open for reading, by their ids; those that are of another version are left out.

    What is open can be read to its end, also when a flusher deletes the file meanwhile.
    """
    with contextlib.ExitStack() as stack:
        held: dict[str, int] = {}
        for path, _ in segments(folder):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            stack.callback(os.close, fd)
            if os.pread(fd, len(HEADER), 0) == HEADER:
                held[path.stem] = fd
        yield held
