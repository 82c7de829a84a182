"""Backups as folders: only what is whole looks whole."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from heartbeat.backups import archive
from heartbeat.backups.archive import Backup
from heartbeat.backups.faults import BackupFailed, BackupUnusable

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def make(folder: Path, *, at: datetime = NOW, text: str = "content") -> Backup:
    with archive.locked(folder), archive.unfinished(folder) as hidden:
        (hidden / "database.sqlite3").write_text(text)
        (hidden / "journal").mkdir()
        (hidden / "journal" / "one.journal").write_text("records")
        return archive.finished(hidden, now=at, kind="sqlite", version="1", why="asked", key_id="abc")


def test_the_name_says_when_and_the_manifest_what(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.name == "agenthub-20260504T030201Z"
    assert archive.backups(tmp_path) == [made] == [archive.backup_named(tmp_path, made.name)]
    assert set(made.checksums) == {"database.sqlite3", "journal/one.journal"}
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["encryption_key"] == {"inside": False, "id": "abc"}
    archive.check_files(made)


def test_two_of_one_second_have_two_names(tmp_path: Path) -> None:
    assert [make(tmp_path).name for _ in range(2)] == ["agenthub-20260504T030201Z", "agenthub-20260504T030201Z-2"]
    assert len(archive.backups(tmp_path)) == 2


def test_what_breaks_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def break_in_the_middle() -> None:
        with archive.locked(tmp_path), archive.unfinished(tmp_path) as hidden:
            (hidden / "database.sqlite3").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_in_the_middle()
    assert archive.backups(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_no_backup_and_goes_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".unfinished-999999"
    left.mkdir()
    (left / "manifest.json").write_text("{}")
    assert archive.backups(tmp_path) == []
    make(tmp_path)
    assert not left.exists()


def test_one_at_a_time(tmp_path: Path) -> None:
    with archive.locked(tmp_path), pytest.raises(BackupFailed, match="Another backup"), archive.locked(tmp_path):
        pass


@pytest.mark.parametrize("name", ["../x", "agenthub-x", "", ".unfinished-1", "agenthub-20260504T030201Z/../x"])
def test_a_name_can_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupUnusable, match="There is no backup"):
        archive.backup_named(tmp_path, name)


def test_a_manifest_can_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    made = make(tmp_path)
    file = made.folder / "manifest.json"
    file.write_text(file.read_text().replace("journal/one.journal", "../one.journal"))
    with pytest.raises(BackupUnusable, match="can't be read"):
        archive.backups(tmp_path)


def test_a_file_that_has_changed_or_gone_is_found(tmp_path: Path) -> None:
    made = make(tmp_path)
    (made.folder / "database.sqlite3").write_text("another")
    with pytest.raises(BackupUnusable, match=r"database\.sqlite3"):
        archive.check_files(made)


def test_old_ones_go_but_never_the_newest(tmp_path: Path) -> None:
    names = [make(tmp_path, at=NOW - timedelta(days=days)).name for days in (30, 20, 10)]
    assert archive.prune(tmp_path, now=NOW, days=15) == names[1::-1]
    assert archive.prune(tmp_path, now=NOW, days=1) == []
    assert [backup.name for backup in archive.backups(tmp_path)] == [names[2]]


def test_nothing_is_for_others(tmp_path: Path) -> None:
    made = make(tmp_path / "backups")
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0
    assert made.folder.stat().st_mode & 0o077 == 0
