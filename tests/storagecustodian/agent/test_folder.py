"""The custodian's folder: what is in it, and that no name leads out of it."""

import os
from pathlib import Path

import pytest

from storagecustodian.agent import replies
from storagecustodian.agent.folder import Folder, NotAFile, Piece


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "secret").write_text("outside")
    made = Folder(tmp_path / "hive")
    (made.path / "a.txt").write_text("hello")
    (made.path / "sub").mkdir()
    (made.path / "sub" / "b.txt").write_text("deep")
    (made.path / "link").symlink_to(tmp_path / "secret")
    (made.path / "ways").symlink_to(tmp_path)
    os.mkfifo(made.path / "pipe")
    return made


def test_it_counts_files_and_nothing_else(folder: Folder) -> None:
    assert [file.name for file in folder.files()] == ["a.txt"]
    assert [file.name for file in folder.files(recursive=True)] == ["a.txt", "sub/b.txt"]
    figures = folder.figures(recursive=True)
    assert (figures.total_files, figures.total_size) == (2, 9)
    assert 0 < figures.disk_percent < 100
    assert replies.status(folder.figures()) == "Storage Status: 1 files, 5 bytes"
    assert replies.listing(folder.files()) == "Files:\n- a.txt (5 bytes)"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../secret",
            "../../etc/passwd",
            "/etc/passwd",
            "link",
            "ways/secret",
            "sub/../../secret",
            "a.txt\0",
            "",
            ".",
        ),
        *("..", "sub", "pipe", "missing", "sub//b.txt", "./a.txt", "/dev/null", "x" * 5000),
    ],
)
def test_no_name_leads_out(folder: Folder, name: str) -> None:
    with pytest.raises(NotAFile):
        folder.piece(name, offset=0, most=100)


def test_files_below_are_read_in_pieces(folder: Folder) -> None:
    assert folder.piece("sub/b.txt", offset=0, most=100).data == b"deep"
    piece = folder.piece("a.txt", offset=1, most=3)
    assert (piece.data, piece.rest, piece.size) == (b"ell", 4, 5)
    assert folder.piece("a.txt", offset=4, most=3).rest is None
    assert folder.piece("a.txt", offset=99, most=3).data == b""


def test_text_is_cut_between_characters_and_says_how_to_go_on() -> None:
    whole = "añb".encode()
    assert replies.content("n", Piece(whole[:2], 0, len(whole))) == "a\n[1 of 4 bytes; the rest: get_file n 1]"
    assert replies.content("n", Piece(whole, 0, len(whole))) == "añb"
    assert replies.content("x.png", Piece(b"\x89PNG\0", 0, 5)) == "x.png is no text: 5 bytes of image/png."
    assert replies.content("x", Piece(b"\xff\xfe\xfd", 0, 3)) == "x is no text: 3 bytes of application/octet-stream."


def test_a_disk_that_fills_is_told_of_once_for_each_mark() -> None:
    assert replies.disk_warning(50, 0) == ("", 0)
    assert replies.disk_warning(81, 0) == ("The disk is 81 % full.", 80)
    assert replies.disk_warning(82, 80) == ("", 80)
    assert replies.disk_warning(90, 80) == ("The disk is 90 % full.", 90)
    assert replies.disk_warning(85, 90) == ("", 80)
