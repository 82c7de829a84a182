"""Checkpoints in files alone, for programs that have no database: one lock and one small file of epochs per agent."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agenthub.core.clock import utc_now
from agenthub.core.errors import CheckpointCorrupt, CheckpointNotFound, StaleEpoch
from agenthub.core.ids import short_id
from storagecustodian.rules.envelope import envelope_bytes
from storagecustodian.rules.kinds import Kind
from storagecustodian.rules.lineage import Turn, lineage, on_line
from storagecustodian.rules.paths import storable_text
from storagecustodian.store import CheckpointFiles, FileContent, FileName, opened

_LOCK = ".lock"
_LINE = ".line.json"


@dataclass(frozen=True, slots=True)
class InFile:
    """A checkpoint in a file, and which newer ones were found to be damaged."""

    name: FileName
    epoch: int
    content: FileContent
    corrupt_skipped: tuple[str, ...] = ()


@dataclass(slots=True)
class _Line:
    epoch: int
    sequence: int
    turns: list[Turn]


class FileCheckpoints:
    """Save, load, list, delete and restore the checkpoints of agents in a folder."""

    def __init__(self, root: Path) -> None:
        self.files = CheckpointFiles(root)

    def save(
        self,
        agent_id: str,
        state: Mapping[str, Any],
        *,
        kind: str = Kind.MANUAL,
        label: str = "",
        epoch: int | None = None,
    ) -> FileName:
        """Keep a state; it is on the disk when this comes back.

        Raises StateNotStorable, StaleEpoch where `epoch` is not the agent's, CheckpointsFull.
        """
        at = utc_now()
        document = envelope_bytes(state, at=at)
        with self._locked(agent_id) as line:
            if epoch is not None and epoch != line.epoch:
                raise StaleEpoch(f"This agent is at epoch {line.epoch}, not {epoch}: load the latest checkpoint.")
            line.sequence += 1
            name = FileName(line.sequence, short_id("ckp"))
            about = {"id": name.id, "agent_id": agent_id, "sequence": name.sequence, "epoch": line.epoch}
            about |= {"kind": str(kind), "label": label, "created_at": at.isoformat()}
            pending = self.files.prepare(agent_id, document, about)
            try:
                pending.publish(name)
            finally:
                pending.discard()
            return name

    def load(self, agent_id: str, name: FileName, *, any_version: bool = False) -> InFile:
        """One checkpoint. Raises CheckpointNotFound, CheckpointCorrupt, UnsupportedVersion."""
        content = self.files.read(agent_id, name, any_version=any_version)
        return InFile(name, int(content.about.get("epoch", 0)), content)

    def latest(self, agent_id: str, *, any_version: bool = False) -> InFile:
        """The newest that counts and is whole. Raises CheckpointNotFound, CheckpointCorrupt, UnsupportedVersion."""
        line = self._line(agent_id)
        stretches = lineage(line.epoch, line.turns)
        skipped: list[str] = []
        for name in self.files.names(agent_id):
            try:
                found = self.load(agent_id, name, any_version=any_version)
            except CheckpointNotFound:  # deleted meanwhile
                continue
            except CheckpointCorrupt:
                skipped.append(name.id)
                continue
            if on_line(stretches, found.epoch, name.sequence):
                return InFile(name, found.epoch, found.content, tuple(skipped))
        if skipped:
            raise CheckpointCorrupt(f"No checkpoint of {agent_id} is whole; {len(skipped)} are damaged.")
        raise CheckpointNotFound(f"{agent_id} has no checkpoint.")

    def list(self, agent_id: str) -> list[FileName]:
        """All of an agent, newest first."""
        return self.files.names(agent_id)

    def delete(self, agent_id: str, name: FileName) -> bool:
        """Remove one; False if it was not there."""
        return self.files.delete(agent_id, name)

    def restore(self, agent_id: str, name: FileName) -> int:
        """Go back to a checkpoint; the answer is the new epoch, which later saves have to name.

        What was the latest is kept as a `pre_restore` checkpoint. Raises what `load` raises.
        """
        target = self.load(agent_id, name)
        with suppress(CheckpointNotFound):
            self.save(agent_id, self.latest(agent_id).content.envelope.state, kind=Kind.PRE_RESTORE)
        with self._locked(agent_id) as line:
            line.turns.append(Turn(line.epoch + 1, target.epoch, name.sequence))
            line.epoch += 1
            self._write_line(agent_id, line)
            return line.epoch

    def epoch(self, agent_id: str) -> int:
        """The epoch that writers of the agent have to be of."""
        return self._line(agent_id).epoch

    @contextmanager
    def _locked(self, agent_id: str) -> Iterator[_Line]:
        storable_text(agent_id, "agent_id")
        folder = self.files.folder(agent_id)
        self.files.make(folder)
        with opened(folder) as directory:
            handle = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self._line(agent_id)
        finally:
            os.close(handle)

    def _line(self, agent_id: str) -> _Line:
        newest = max((name.sequence for name in self.files.names(agent_id)), default=0)
        try:
            kept = json.loads((self.files.folder(agent_id) / _LINE).read_bytes())
        except FileNotFoundError:
            return _Line(0, newest, [])
        turns = [Turn(**turn) for turn in kept["turns"]]
        return _Line(kept["epoch"], max(newest, kept["sequence"]), turns)

    def _write_line(self, agent_id: str, line: _Line) -> None:
        kept = {"epoch": line.epoch, "sequence": line.sequence, "turns": [asdict(turn) for turn in line.turns]}
        folder = self.files.folder(agent_id)
        with opened(folder) as directory:
            temporary = f"{_LINE}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(temporary, flags, 0o600, dir_fd=directory)
            try:
                os.write(handle, json.dumps(kept).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            os.rename(temporary, _LINE, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
