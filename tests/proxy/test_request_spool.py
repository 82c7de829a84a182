"""Bodies in memory and in a file without a name, read as they were written."""

import os
import stat
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.errors import RequestTooLarge, SpoolFull
from proxy.request_spool import MEMORY_BYTES, RequestSpool, SpoolReader


def all_of(reader: SpoolReader, most_bytes: int = 1000) -> bytes:
    pieces = []
    while piece := reader.read(most_bytes):
        assert len(piece) <= most_bytes
        pieces.append(piece)
    return b"".join(pieces)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6), st.integers(0, 300), st.integers(1, 70))
def test_what_was_written_is_read_however_it_is_cut(body: bytes, cuts: list[int], memory: int, step: int) -> None:
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    with TemporaryDirectory() as folder, RequestSpool(Path(folder), most_bytes=300, memory_bytes=memory) as spool:
        for start, end in pairwise(bounds):
            spool.write(body[start:end])
        assert (spool.size, spool.length()) == (len(body), len(body))
        assert all_of(spool.open_reader(), step) == body


@given(
    st.binary(min_size=1, max_size=100),
    st.lists(st.tuples(st.integers(0, 100), st.binary(max_size=9)), max_size=6),
    st.integers(0, 100),
    st.integers(1, 40),
)
def test_replacements_stand_in_their_places(
    body: bytes, marks: list[tuple[int, bytes]], memory: int, step: int
) -> None:
    places = sorted({min(mark, len(body)) for mark, _ in marks})
    replace = [(start, end, new) for (start, end), (_, new) in zip(pairwise(places), marks, strict=False)][::2]
    expected = bytearray(body)
    for start, end, new in reversed(replace):
        expected[start:end] = new
    with TemporaryDirectory() as folder, RequestSpool(Path(folder), most_bytes=100, memory_bytes=memory) as spool:
        spool.write(body)
        reader = spool.open_reader(replace)
        assert reader.length == spool.length(replace) == len(expected)
        assert all_of(reader, step) == expected


@pytest.mark.parametrize("replace", [[(0, 5, b""), (4, 6, b"")], [(3, 2, b"")], [(9, 11, b"")], [(-1, 2, b"")]])
def test_replacements_that_overlap_or_lie_outside_are_refused(
    tmp_path: Path, replace: list[tuple[int, int, bytes]]
) -> None:
    with RequestSpool(tmp_path, most_bytes=10) as spool:
        spool.write(b"0123456789")
        with pytest.raises(ValueError, match="can't be replaced"):
            spool.open_reader(replace)


def test_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    with RequestSpool(tmp_path, most_bytes=100, memory_bytes=4) as spool:
        spool.write(b"0123456789")
        first, second = spool.open_reader(), spool.open_reader()
        assert first.read(6) + first.read(3) == b"0123456"
        assert all_of(second) == b"0123456789"
        assert all_of(first) == b"789"


def test_small_bodies_touch_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with RequestSpool(folder, most_bytes=2 * MEMORY_BYTES) as spool:
        spool.write(bytes(MEMORY_BYTES))
        assert not folder.exists()
        spool.write(b"x")
        assert folder.is_dir()


def file_of(spool: RequestSpool) -> IO[bytes]:
    assert spool._file is not None
    return spool._file


def test_the_file_has_no_name_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    with RequestSpool(tmp_path, most_bytes=100, memory_bytes=1) as spool:
        spool.write(b"secret")
        found = os.fstat(file_of(spool).fileno())
        assert (stat.S_IMODE(found.st_mode), found.st_nlink) == (0o600, 0)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [0, 1, 10])
def test_a_body_over_the_limit_is_refused_and_gone(tmp_path: Path, there: int) -> None:
    spool = RequestSpool(tmp_path, most_bytes=10, memory_bytes=2)
    spool.write(b"x" * there)
    with pytest.raises(RequestTooLarge, match="10 bytes"):
        spool.write(b"x" * (11 - there))
    assert spool.closed
    with pytest.raises(ValueError, match="closed"):
        spool.write(b"")


def test_a_full_disk_is_a_refusal_that_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115 - the spool closes it
    monkeypatch.setattr("proxy.request_spool.TemporaryFile", lambda **_: full)
    spool = RequestSpool(tmp_path, most_bytes=100, memory_bytes=2)
    spool.write(b"xx")
    with pytest.raises(SpoolFull):
        spool.write(b"more")
    assert spool.closed
    assert full.closed


def test_a_folder_that_can_not_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    spool = RequestSpool(tmp_path / "a file" / "spool", most_bytes=100, memory_bytes=2)
    with pytest.raises(NotADirectoryError):
        spool.write(b"xxx")
    assert spool.closed


def test_a_file_that_has_become_shorter_ends_early(tmp_path: Path) -> None:
    with RequestSpool(tmp_path, most_bytes=100, memory_bytes=2) as spool:
        spool.write(b"0123456789")
        reader = spool.open_reader([(9, 10, b"end")])
        file_of(spool).truncate(3)
        assert (all_of(reader), reader.length) == (b"01234", 12)


def test_nothing_is_read_from_a_closed_spool(tmp_path: Path) -> None:
    spool = RequestSpool(tmp_path, most_bytes=100, memory_bytes=2)
    spool.write(b"0123456789")
    reader = spool.open_reader()
    spool.close()
    spool.close()
    with pytest.raises(OSError, match="closed"):
        reader.read(1)
