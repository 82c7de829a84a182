"""Checkpoints as files: `<folder>/<folder of the agent>/<sequence>-<id>.json`, 0600, whole or not there at all.

A file is written under another name in the same folder, synced, renamed, and the folder is synced. Folders are opened
without following links and files are named within them, so that no link leads out.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenthub.core.clock import epoch_seconds
from agenthub.core.errors import CheckpointCorrupt, CheckpointNotFound, CheckpointsFull
from storagecustodian.rules.envelope import Envelope, dumped, envelope_in
from storagecustodian.rules.paths import agent_of_folder, file_name, folder_name, sequence_of

_TEMPORARY = ".new-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class FileName:
    """A file of an agent."""

    sequence: int
    id: str

    def __str__(self) -> str:
        return file_name(self.sequence, self.id)


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a whole file says."""

    envelope: Envelope
    about: Mapping[str, Any]  # the columns of the checkpoint
    document: bytes


class PendingFile:
    """A file that is on the disk under another name."""

    def __init__(self, folder: Path, temporary: str) -> None:
        self._folder, self._temporary = folder, temporary
        self._name: FileName | None = None

    def publish(self, name: FileName) -> None:
        """Give it its name, on the disk."""
        with opened(self._folder) as handle:
            os.rename(self._temporary, str(name), src_dir_fd=handle, dst_dir_fd=handle)
            self._name = name
            os.fsync(handle)

    def withdraw(self) -> None:
        """Take its name away again, since what it belongs to was not kept; it may be published once more."""
        if self._name is not None:
            with opened(self._folder) as handle, suppress(FileNotFoundError):
                os.rename(str(self._name), self._temporary, src_dir_fd=handle, dst_dir_fd=handle)
                os.fsync(handle)
            self._name = None

    def discard(self) -> None:
        """Remove it, unless it has its name."""
        if self._name is None:
            with opened(self._folder) as handle, suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=handle)


class CheckpointFiles:
    """The folder of all checkpoints."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, agent_id: str) -> Path:
        """The folder of an agent, which may not be there yet."""
        return self.root / folder_name(agent_id)

    def prepare(self, agent_id: str, document: bytes, about: Mapping[str, Any]) -> PendingFile:
        """Write a document and what is known of it under a passing name, synced. Raises CheckpointsFull."""
        folder = self.folder(agent_id)
        self.make(folder)
        temporary = f"{_TEMPORARY}{os.urandom(8).hex()}"
        try:
            _write(folder, temporary, _file_bytes(document, about))
        except OSError as problem:
            with opened(folder) as handle, suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=handle)
            if problem.errno in _FULL:
                raise CheckpointsFull("The disk of the checkpoints is full; nothing of this one was kept.") from None
            raise
        return PendingFile(folder, temporary)

    def names(self, agent_id: str) -> list[FileName]:
        """The files of an agent, newest first by their sequence, whatever the times of the files say."""
        try:
            with opened(self.folder(agent_id)) as handle:
                found = [sequence_of(name) for name in os.listdir(handle)]
        except FileNotFoundError:
            return []
        return sorted((FileName(*each) for each in found if each), key=lambda each: (-each.sequence, each.id))

    def agents(self) -> list[str]:
        """The agents that have a folder of which its name says whose it is."""
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        return [agent_id for name in names if (agent_id := agent_of_folder(name)) and folder_name(agent_id) == name]

    def read(self, agent_id: str, name: FileName, *, any_version: bool = False) -> FileContent:
        """What a file says. Raises CheckpointNotFound, CheckpointCorrupt, UnsupportedVersion."""
        try:
            with opened(self.folder(agent_id)) as handle:
                raw = _read(handle, str(name))
        except FileNotFoundError:
            raise CheckpointNotFound(f"There is no file {name}.") from None
        except OSError as problem:
            raise CheckpointCorrupt(f"The file {name} can't be read: {problem.strerror}.") from None
        return _content(raw, name, any_version=any_version)

    def delete(self, agent_id: str, name: FileName) -> bool:
        """Remove a file; False if it was not there."""
        try:
            with opened(self.folder(agent_id)) as handle:
                os.unlink(str(name), dir_fd=handle)
                os.fsync(handle)
        except FileNotFoundError:
            return False
        return True

    def age_seconds(self, agent_id: str, name: FileName, *, now: float) -> float:
        """How long ago a file was written; 0 for one that is not there."""
        with suppress(FileNotFoundError), opened(self.folder(agent_id)) as handle:
            return now - os.stat(str(name), dir_fd=handle, follow_symlinks=False).st_ctime
        return 0.0

    def sweep(self, agent_id: str, *, older_than_seconds: float = 3600) -> int:
        """Remove what writers that were killed have left; how many files that were."""
        end, removed = epoch_seconds() - older_than_seconds, 0
        with suppress(FileNotFoundError), opened(self.folder(agent_id)) as handle:
            for name in os.listdir(handle):
                if name.startswith(_TEMPORARY):
                    with suppress(FileNotFoundError):
                        if os.stat(name, dir_fd=handle, follow_symlinks=False).st_mtime <= end:
                            os.unlink(name, dir_fd=handle)
                            removed += 1
        return removed

    def make(self, folder: Path) -> None:
        """Make the folder of an agent, on the disk, if it is not there."""
        if folder.is_dir() and not folder.is_symlink():
            return
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        with opened(self.root) as handle:
            os.fsync(handle)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder, opened without following a link."""
    handle = os.open(folder, _DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _write(folder: Path, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(folder) as directory:
        handle = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        written = 0
        while written < len(content):
            written += os.write(handle, content[written : written + PIECE])
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(directory: int, name: str) -> bytes:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(handle, "rb") as stream:
        return stream.read()


def _file_bytes(document: bytes, about: Mapping[str, Any]) -> bytes:
    # The document is an object of ours, so that more members can be put before its closing brace.
    body = document[:-1] + b',"checkpoint":' + dumped(about)
    return body + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def _content(raw: bytes, name: FileName, *, any_version: bool) -> FileContent:
    body, mark, rest = raw.rpartition(b',"sha256":"')
    if not mark or rest[-2:] != b'"}' or hashlib.sha256(body).hexdigest().encode() != rest[:-2]:
        raise CheckpointCorrupt(f"The file {name} is not what was written: its hash is another one.")
    parsed = json.loads(body + b"}")
    about = parsed.pop("checkpoint", {})
    if about.get("id") != name.id:
        raise CheckpointCorrupt(f"The file {name} holds another checkpoint, {str(about.get('id'))[:40]}.")
    return FileContent(envelope_in(parsed, any_version=any_version), about, dumped(parsed))
