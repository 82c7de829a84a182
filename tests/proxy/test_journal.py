import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthub.core.errors import JournalFull
from proxy.journal import Journal, folder_bytes, segments
from proxy.rules.frames import HEADER, scan
from proxy.rules.record import Continued, JournalEntry, RequestBegun, RequestEnded
from tests.proxy.entries import begun, ended

MIB = 1024 * 1024


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", max_bytes=64 * MIB)
    yield journal
    journal.close()


def entries(path: Path) -> list[JournalEntry]:
    data = path.read_bytes()
    assert data.startswith(HEADER)
    return scan(data[len(HEADER) :]).entries


def written(folder: Path) -> list[JournalEntry]:
    return [entry for path, _ in segments(folder) for entry in entries(path)]


def locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_an_entry_can_be_read_by_others_as_soon_as_it_is_written(journal: Journal) -> None:
    beginning, end = begun("a"), ended("a")

    journal.begin(beginning)
    assert written(journal.folder) == [beginning]

    journal.end(end)
    assert written(journal.folder) == [beginning, end]


def test_a_refused_request_has_an_end_alone(journal: Journal) -> None:
    journal.end(ended("a", status=404, backend_id=""))

    assert [type(entry) for entry in written(journal.folder)] == [RequestEnded]


def test_a_segment_is_locked_while_its_writer_lives(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    [(path, _)] = segments(tmp_path)

    assert locked(path)
    journal.close()
    assert not locked(path)


def test_folder_and_segments_are_private(journal: Journal) -> None:
    [(path, _)] = segments(journal.folder)

    assert journal.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_segment_is_followed_by_one_that_begins_with_the_open_requests(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=2_000)
    first = journal.segment_id
    beginning = begun("long")
    journal.begin(beginning)
    for _ in range(20):
        short = begun()
        journal.begin(short)
        journal.end(ended(short.id))
    last = journal.segment_id
    journal.end(ended("long"))
    journal.close()

    old, new = entries(tmp_path / f"{first}.journal"), entries(tmp_path / f"{last}.journal")
    assert old[0] == beginning
    assert isinstance(old[-1], Continued)
    assert new[0] == beginning
    assert new[-1] == ended("long")
    ends = [entry.id for entry in written(tmp_path) if isinstance(entry, RequestEnded)]
    assert len(ends) == len(set(ends)) == 21


async def test_a_full_segment_is_let_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=1_000)
    first = tmp_path / f"{journal.segment_id}.journal"
    for _ in range(10):
        journal.end(ended())

    await journal.synced()

    assert len(segments(tmp_path)) == 2
    assert not locked(first)
    assert locked(tmp_path / f"{journal.segment_id}.journal")
    journal.close()


def test_many_open_requests_do_not_fill_each_new_segment_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=1_000)
    for _ in range(200):
        journal.begin(begun())
    journal.close()

    assert len(segments(tmp_path)) < 12


def test_at_its_bound_it_refuses_to_begin_but_ends_what_has_begun(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=1_000)
    journal.begin(begun("a"))
    while not journal.full:
        journal.end(ended())

    with pytest.raises(JournalFull):
        journal.begin(begun("b"))
    journal.end(ended("refused", status=404))
    journal.end(ended("a"))
    journal.close()

    ids = [entry.id for entry in written(tmp_path) if isinstance(entry, RequestEnded)]
    assert "a" in ids
    assert "refused" not in ids
    assert journal.dropped_count == 1


def test_at_its_bound_it_serves_and_counts_when_set_to_drop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path, max_bytes=1_000, refuse=False)
    while not journal.full:
        journal.end(ended())

    journal.begin(begun("a"))
    journal.end(ended("a"))
    journal.close()

    assert "a" not in [entry.id for entry in written(tmp_path) if not isinstance(entry, Continued)]
    assert journal.dropped_count == 1
    assert caplog.messages == ["usage_record_dropped"]


class Disk:
    """Stands in for `os.write`: passes on so many bytes, then the disk is full until it gets more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room_bytes = 1 << 40
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if not self.room_bytes:
            raise OSError(28, "No space left on device")
        count = self._write(fd, data[: self.room_bytes])
        self.room_bytes -= count
        return count


def test_with_the_disk_full_it_refuses_and_writes_the_ends_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    disk = Disk(monkeypatch)
    journal.begin(begun("a"))
    journal.begin(begun("b"))

    disk.room_bytes = 40  # the end of "a" is torn
    journal.end(ended("a"))
    journal.end(ended("b"))
    with pytest.raises(JournalFull):
        journal.begin(begun("c"))
    assert journal.unwritten_count == 2

    disk.room_bytes = 1 << 40
    journal.close()

    found = scan((tmp_path / f"{journal.segment_id}.journal").read_bytes()[len(HEADER) :])
    assert [(type(entry), entry.id) for entry in found.entries] == [  # type: ignore[union-attr]
        (RequestBegun, "a"),
        (RequestBegun, "b"),
        (RequestEnded, "a"),
        (RequestEnded, "b"),
    ]
    assert found.damaged_bytes == 0
    assert (journal.unwritten_count, journal.dropped_count, journal.open_count) == (0, 0, 0)


def test_with_the_disk_full_it_serves_and_counts_when_set_to_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, max_bytes=MIB, refuse=False)
    disk = Disk(monkeypatch)
    disk.room_bytes = 0

    journal.begin(begun("a"))
    journal.end(ended("a"))

    assert (journal.unwritten_count, journal.dropped_count) == (0, 1)
    disk.room_bytes = 1 << 40
    journal.close()


def test_a_segment_that_can_not_be_followed_by_another_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, max_bytes=MIB, segment_bytes=500)
    first = journal.segment_id

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", refuse)
    for _ in range(5):
        journal.end(ended())
    monkeypatch.undo()
    journal.close()

    assert journal.segment_id == first
    assert len(written(tmp_path)) == 5


async def test_synced_comes_back_after_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fdatasync = os.fdatasync

    def note(fd: int) -> None:
        fdatasync(fd)
        synced.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fdatasync", note)
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.end(ended())
    size = folder_bytes(tmp_path)

    await asyncio.gather(*(journal.synced() for _ in range(50)))

    assert size in synced
    assert len(synced) < 50  # one call to the disk serves many
    journal.close()


async def test_a_failed_sync_is_logged_and_wakes_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    journal.end(ended())
    await journal.synced()
    monkeypatch.undo()
    journal.close()

    assert "journal_sync_failed" in caplog.messages


def test_its_size_counts_the_segments_of_other_processes(tmp_path: Path) -> None:
    other = Journal(tmp_path, max_bytes=MIB)
    other.end(ended())

    journal = Journal(tmp_path, max_bytes=MIB)

    assert journal.size_bytes >= other.size_bytes > len(HEADER)
    journal.close()
    other.close()
