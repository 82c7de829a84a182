"""Request bodies that need not fit into memory: their beginning is held there, the rest in a file without a name."""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO

from agenthub.core.errors import RequestTooLarge, SpoolFull

MEMORY_BYTES = 256 * 1024
"""Bodies up to this size touch no file."""

Replacement = tuple[int, int, bytes]
"""Bytes from a start up to an end, and what stands in their place."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class RequestSpool:
    """One request body: written once, read as often as there are attempts. Used on the event loop only."""

    def __init__(self, folder: Path, *, most_bytes: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._memory_bytes = memory_bytes
        self._start = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0
        self.closed = False

    @property
    def size(self) -> int:
        """Bytes taken in so far."""
        return self._size

    def write(self, piece: bytes) -> None:
        """Take in the next piece. Raises RequestTooLarge or SpoolFull, after which the spool is closed."""
        if self.closed:
            raise ValueError("The spool is closed.")
        if self._size + len(piece) > self._most_bytes:
            self.close()
            raise RequestTooLarge(f"The request body is larger than {self._most_bytes:,} bytes.")
        held = max(0, min(len(piece), self._memory_bytes - self._size))
        self._start += piece[:held]
        if held < len(piece):
            self._write_to_file(memoryview(piece)[held:])
        self._size += len(piece)

    def length(self, replace: Iterable[Replacement] = ()) -> int:
        """Bytes of the body with these replacements."""
        return self._size + sum(len(new) - (end - start) for start, end, new in replace)

    def open_reader(self, replace: Iterable[Replacement] = ()) -> "SpoolReader":
        """The body from its beginning, with some of its bytes replaced. Raises ValueError for replacements that overlap
        or lie outside of it. Readers go their own ways, and none of them reads on once the spool is closed."""
        sources: list[_Source] = []
        position = 0
        for start, end, new in sorted(replace):
            if not position <= start <= end <= self._size:
                raise ValueError(f"{start}–{end} can't be replaced in {self._size} bytes, {position} of them passed.")
            sources += [(position, start), new]
            position = end
        return SpoolReader(self, [*sources, (position, self._size)])

    def read_at(self, position: int, most_bytes: int) -> bytes:
        """Up to so many bytes from a position; b"" if there are none. Raises OSError."""
        if self.closed:
            # Its descriptor may be another file's by now.
            raise OSError(errno.EBADF, "the spool is closed")
        if position < len(self._start):
            return bytes(self._start[position : position + most_bytes])
        if self._file is None:
            return b""
        return os.pread(self._file.fileno(), most_bytes, position - len(self._start))

    def close(self) -> None:
        """Give memory and disk back."""
        self.closed = True
        self._start = bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "RequestSpool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_to_file(self, rest: memoryview) -> None:
        try:
            if self._file is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Readable by this process alone, and gone with it: it never has a name, or has lost it at once.
                self._file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by close()
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as problem:
            self.close()
            if problem.errno in _NO_ROOM:
                raise SpoolFull("The hub's disk has no room for the request body. Try again later.") from None
            raise


_Source = tuple[int, int] | bytes
"""A stretch of the spool, or bytes that stand in its place."""


class SpoolReader:
    """Reads a spool from its beginning to its end: a `RequestBody`."""

    def __init__(self, spool: RequestSpool, sources: Sequence[_Source]) -> None:
        self._spool = spool
        self._sources = [source for source in reversed(sources) if _size(source)]
        self.length = sum(map(_size, sources))

    def read(self, most_bytes: int) -> bytes:
        """The next piece, of any size up to this; b"" at the end, or where the file is shorter now. Raises OSError."""
        if not self._sources:
            return b""
        source = self._sources.pop()
        if isinstance(source, bytes):
            piece, rest = source[:most_bytes], source[most_bytes:]
            if rest:
                self._sources.append(rest)
            return piece
        position, end = source
        piece = self._spool.read_at(position, min(most_bytes, end - position))
        if not piece:
            self._sources.clear()
        elif position + len(piece) < end:
            self._sources.append((position + len(piece), end))
        return piece


def _size(source: _Source) -> int:
    return len(source) if isinstance(source, bytes) else source[1] - source[0]
