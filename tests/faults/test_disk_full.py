"""A disk that takes nothing more: requests are refused, what has begun is recorded when there is room again."""

import itertools
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthub.core.errors import JournalFull
from proxy.journal import Journal
from proxy.rules.frames import HEADER, scan
from proxy.rules.record import JournalEntry, RequestEnded
from tests.faults.forks import fork
from tests.proxy.entries import begun, ended

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def recorded(folder: Path) -> list[JournalEntry]:
    entries: list[JournalEntry] = []
    for path in sorted(folder.glob("*.journal")):
        found = scan(path.read_bytes()[len(HEADER) :])
        assert found.damaged_bytes == 0
        entries += found.entries
    return entries


def ended_ids(folder: Path) -> list[str]:
    return [entry.id for entry in recorded(folder) if isinstance(entry, RequestEnded)]


def serve_for_ever(journal: Journal) -> None:
    for number in itertools.count():
        journal.begin(begun(f"served{number}"))
        journal.end(ended(f"served{number}"))


def test_a_full_disk_refuses_and_loses_nothing(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal", max_bytes=64 * MIB, segment_bytes=32 * KIB)
    for number in range(20):
        journal.begin(begun(f"open{number}"))
    with pytest.raises(JournalFull):
        serve_for_ever(journal)
    for number in range(20):
        journal.end(ended(f"open{number}"))
    assert journal.unwritten_count > 0

    next(path for path in (small_disk / "journal").iterdir() if journal.segment_id not in path.name).unlink()
    journal.close()

    assert (journal.unwritten_count, journal.dropped_count) == (0, 0)
    assert {f"open{number}" for number in range(20)} <= set(ended_ids(small_disk / "journal"))


def test_a_file_at_its_limit_leaves_no_torn_entry_in_the_middle(tmp_path: Path) -> None:
    """The limit of a file's size cuts a write short as a full disk does, and needs no root."""

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=64 * MIB)
        try:
            serve_for_ever(journal)
        except JournalFull:
            os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(fork(write), 0)[1]) == 0

    ids = ended_ids(tmp_path)
    assert len(ids) > 10
    assert ids == [f"served{number}" for number in range(len(ids))]
