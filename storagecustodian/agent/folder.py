"""The folder that the custodian looks after: what is in it, how full its disk is, and what its files hold."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MOST_FILES = 100_000


class NotAFile(Exception):
    """A name that is none of a file in the folder; the message may be shown to whoever asked."""


@dataclass(frozen=True, slots=True)
class File:
    """One file."""

    name: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is, and how much room is left."""

    total_files: int
    total_size: int
    disk_free: int
    disk_percent: float


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file."""

    data: bytes
    offset: int
    size: int  # of the whole file

    @property
    def rest(self) -> int | None:
        """Where the rest begins; None at the end."""
        end = self.offset + len(self.data)
        return end if end < self.size else None


class Folder:
    """One folder, made if it is missing."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path.resolve()

    @property
    def name(self) -> str:
        """Its name, without where it lies."""
        return self.path.name

    def files(self, *, recursive: bool = False) -> list[File]:
        """Its files by name; links and what is no file are passed over."""
        found = sorted(self._walk(self.path, "", recursive=recursive), key=lambda file: file.name)
        return found[:MOST_FILES]

    def _walk(self, folder: Path, prefix: str, *, recursive: bool) -> Iterator[File]:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    about = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it has gone meanwhile
                if stat.S_ISREG(about.st_mode):
                    yield File(prefix + entry.name, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))
                elif recursive and stat.S_ISDIR(about.st_mode):
                    yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", recursive=True)

    def figures(self, *, recursive: bool = False) -> Figures:
        """How many files of which size, and the disk."""
        files, disk = self.files(recursive=recursive), shutil.disk_usage(self.path)
        return Figures(len(files), sum(file.size for file in files), disk.free, disk.used / disk.total * 100)

    def piece(self, name: str, *, offset: int, most: int) -> Piece:
        """Some bytes of a file. Raises NotAFile for a name that leads out, is none, or is no plain file."""
        opened = self._open(name)
        try:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode):
                raise NotAFile(f"{name} is no file.")
            return Piece(os.pread(opened, most, offset), offset, about.st_size)
        finally:
            os.close(opened)

    def _open(self, name: str) -> int:
        """Walks down name by name, each opened relative to the folder above it and never through a link: so nobody who
        changes links meanwhile can lead the walk out."""
        parts = name.split("/")
        if "\0" in name or any(part in ("", ".", "..") for part in parts) or len(parts) > 50:
            raise NotAFile("Names are those that list_files shows; they do not leave the folder.")
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = below
            # Without waiting: a pipe that nobody writes to would be waited for.
            return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            raise NotAFile(f"There is no file {name[:200]}; list_files shows what there is.") from None
        finally:
            os.close(folder)
