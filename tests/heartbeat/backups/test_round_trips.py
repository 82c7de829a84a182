"""Backups of real databases, made and brought back."""

import dataclasses
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection, connections

from agenthub.core.crypto import KeyRing
from heartbeat.backups import archive, making, postgres, sqlite
from heartbeat.backups.faults import BackupFailed, BackupUnusable, RestoreRefused
from heartbeat.backups.making import backup_daily, backup_make, backup_verify
from heartbeat.backups.restoring import backup_restore
from heartbeat.models import Alert
from providers.models import Backend, UsageRecord
from proxy.flusher import Flusher
from proxy.journal import Journal
from tests.factories import make_backend
from tests.faults.conftest import on_sqlite_file, shared_database  # noqa: F401 - fixtures
from tests.faults.forks import forget_connections, fork
from tests.proxy.entries import ended

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def data_dir(tmp_path: Path, settings: LazySettings) -> Path:
    """A data folder of the test's own."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, data_dir=folder, backup_dir=folder / "backups")
    return folder


def let_go() -> None:
    """Leave nothing open that a forked child would share."""
    connections["default"].close()
    if hasattr(connections["default"], "close_pool"):
        connections["default"].close_pool()


def test_database_and_journal_come_back_as_they_were(data_dir: Path, shared_database: str) -> None:  # noqa: F811
    backend = make_backend(name="before")
    journal = Journal(data_dir / "journal", max_bytes=2**26)
    journal.end(ended("flushed"))
    Flusher(data_dir / "journal").flush()
    journal.end(ended("waiting"))  # in the journal alone

    made = backup_make(now=NOW, why="asked")
    backup_verify(made)

    Backend.objects.filter(id=backend.id).update(name="after")
    journal.end(ended("later"))
    journal.close()
    flusher = Flusher(data_dir / "journal")
    flusher.flush()
    flusher.close()
    assert UsageRecord.objects.count() == 3

    done = backup_restore(made, now=NOW + timedelta(hours=1))
    assert Backend.objects.get(id=backend.id).name == "before"
    assert UsageRecord.objects.count() == 1
    flusher = Flusher(data_dir / "journal")
    flusher.flush()
    flusher.close()
    assert set(UsageRecord.objects.values_list("id", flat=True)) == {"flushed", "waiting"}
    assert done.warnings == ()
    assert done.kept
    assert all(Path(path).exists() for path in done.kept)
    assert not (data_dir / "restore.unfinished").exists()


def test_what_a_restore_replaces_is_kept(data_dir: Path, shared_database: str) -> None:  # noqa: F811
    make_backend(name="first")
    made = backup_make(now=NOW, why="asked")
    make_backend(name="second")
    done = backup_restore(made, now=NOW + timedelta(hours=1))
    assert Backend.objects.count() == 1
    if connection.vendor == "sqlite":
        kept = next(path for path in done.kept if path.endswith("Z"))
        with closing(sqlite3.connect(kept)) as replaced:
            assert replaced.execute("SELECT count(*) FROM providers_backend").fetchone() == (2,)
    else:
        before = archive.backups(data_dir / "backups")[0]
        assert (before.why, str(before.folder)) == ("before_restore", done.kept[0])
        backup_restore(before, now=NOW + timedelta(hours=2))
        assert Backend.objects.count() == 2


def test_a_backup_of_the_other_kind_is_refused(data_dir: Path, on_sqlite_file: None) -> None:  # noqa: F811
    made = dataclasses.replace(backup_make(now=NOW, why="asked"), database="postgresql")
    with pytest.raises(RestoreRefused, match="of a postgresql database"):
        backup_restore(made, now=NOW)


def test_a_damaged_backup_touches_nothing(data_dir: Path, on_sqlite_file: None) -> None:  # noqa: F811
    make_backend(name="kept")
    made = backup_make(now=NOW, why="asked")
    with made.database_file.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 500)
    with pytest.raises(BackupUnusable, match="damaged"):
        backup_restore(made, now=NOW)
    assert Backend.objects.get().name == "kept"
    assert not (data_dir / "restore.unfinished").exists()


def test_a_damaged_database_is_found_and_an_alert_says_so(
    data_dir: Path,
    on_sqlite_file: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite, "damage", lambda file, quick=False: "page 7 is odd" if quick else "")
    with pytest.raises(BackupFailed, match="page 7 is odd"):
        backup_make(now=NOW, why="daily")
    assert Alert.objects.get(rule="backup_failed").state == "firing"
    monkeypatch.undo()
    backup_make(now=NOW, why="daily")
    assert Alert.objects.get(rule="backup_failed").state == "resolved"


def test_damage_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE t (a)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
        made.commit()
    assert sqlite.damage(file) == ""
    with file.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(b"\xff" * 4096)
    assert sqlite.damage(file, quick=True) != ""
    file.write_bytes(b"this is no database" * 500)
    assert sqlite.damage(file) != ""
    with pytest.raises(BackupFailed, match="can't be read"):
        sqlite.damage(tmp_path / "missing.sqlite3")


def test_a_copy_is_of_one_moment_while_others_write(data_dir: Path, on_sqlite_file: None) -> None:  # noqa: F811
    """A writer that keeps two tables equal is never seen between its two statements."""
    file = str(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE one (n INTEGER)")
        cursor.execute("CREATE TABLE two (n INTEGER)")
    connection.close()

    def write() -> None:
        with closing(sqlite3.connect(file, timeout=20)) as writing:
            while True:
                writing.execute("INSERT INTO one VALUES (1)")
                writing.execute("INSERT INTO two VALUES (1)")
                writing.commit()

    pid = fork(write)
    try:
        for number in range(5):
            made = backup_make(now=NOW + timedelta(seconds=number), why="asked")
            with closing(sqlite3.connect(made.database_file)) as copy:
                counts = [copy.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("one", "two")]
            assert counts[0] == counts[1]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_kill_in_the_middle_leaves_no_backup_and_no_lock(data_dir: Path, shared_database: str) -> None:  # noqa: F811
    make_backend(name="x")
    let_go()

    def die() -> None:
        forget_connections()
        making._check_copy = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        backup_make(now=NOW, why="asked")

    os.waitpid(fork(die), 0)
    assert archive.backups(data_dir / "backups") == []
    assert len(list((data_dir / "backups").glob(".unfinished-*"))) == 1
    made = backup_make(now=NOW, why="asked")
    assert archive.backups(data_dir / "backups") == [made]
    assert not list((data_dir / "backups").glob(".unfinished-*"))


def test_a_kill_in_the_middle_of_a_restore_is_completed_by_the_next(
    data_dir: Path,
    shared_database: str,  # noqa: F811
) -> None:
    make_backend(name="kept")
    made = backup_make(now=NOW, why="asked")
    let_go()

    def die() -> None:
        forget_connections()
        from heartbeat.backups import restoring

        restoring._journal_restored = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        backup_restore(made, now=NOW)

    os.waitpid(fork(die), 0)
    assert (data_dir / "restore.unfinished").exists()
    backup_restore(made, now=NOW + timedelta(hours=1))
    assert Backend.objects.get().name == "kept"
    assert not (data_dir / "restore.unfinished").exists()


def test_a_file_at_its_limit_leaves_no_backup(data_dir: Path, shared_database: str) -> None:  # noqa: F811
    """The limit of a file's size cuts a write short as a full disk does, and needs no root."""
    make_backend(name="x")
    let_go()

    def write() -> None:
        forget_connections()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        # SQLite's own files have the limit too, so no alert could be written.
        making._tell = lambda event: None
        try:
            backup_make(now=NOW, why="asked")
        except BackupFailed:
            os._exit(7)

    assert os.waitstatus_to_exitcode(os.waitpid(fork(write), 0)[1]) == 7
    assert archive.backups(data_dir / "backups") == []
    assert not list((data_dir / "backups").glob(".unfinished-*"))


@pytest.fixture
def small_disk(data_dir: Path) -> Iterator[Path]:
    """The folder for backups on a file system of 256 KiB."""
    disk = data_dir / "backups"
    disk.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_is_named_before_anything_is_written(
    small_disk: Path,
    on_sqlite_file: None,  # noqa: F811
) -> None:
    with pytest.raises(BackupFailed, match="AGENTHUB_BACKUP_DIR"):
        backup_make(now=NOW, why="asked")
    assert not list(small_disk.glob(".unfinished-*"))


def test_a_disk_that_fills_up_leaves_nothing(
    small_disk: Path,
    on_sqlite_file: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "_check_room", lambda *_: None)
    with pytest.raises(BackupFailed):
        backup_make(now=NOW, why="asked")
    assert [path.name for path in small_disk.iterdir()] == [".lock"]
    assert Alert.objects.get().rule == "backup_failed"


def test_a_backup_of_each_day_and_no_more(data_dir: Path, on_sqlite_file: None) -> None:  # noqa: F811
    assert backup_daily(now=NOW, days=0) == ""
    first = backup_daily(now=NOW, days=2)
    assert backup_daily(now=NOW + timedelta(hours=20), days=2) == ""
    assert backup_daily(now=NOW + timedelta(hours=24), days=2) != ""
    assert backup_daily(now=NOW + timedelta(hours=71), days=2) != ""
    names = [backup.name for backup in archive.backups(data_dir / "backups")]
    assert first not in names
    assert len(names) == 2


def test_the_key_that_is_missing_is_named(
    data_dir: Path,
    on_sqlite_file: None,  # noqa: F811
    settings: LazySettings,
) -> None:
    made = backup_make(now=NOW, why="asked")
    text = "".join(path.read_text(errors="replace") for path in made.folder.rglob("*") if path.is_file())
    assert settings.ENVIRONMENT.encryption_key not in text
    old = KeyRing.from_text(settings.ENVIRONMENT.encryption_key).first
    settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, encryption_key="0123456789abcdef" * 4)
    (words,) = backup_restore(made, now=NOW + timedelta(hours=1)).warnings
    assert old in words


def test_a_hub_that_is_connected_from_elsewhere_refuses_the_restore(data_dir: Path, on_postgres: None) -> None:
    make_backend(name="kept")
    made = backup_make(now=NOW, why="asked")
    database = postgres.parameters(connection.settings_dict)
    with psycopg.connect(**database), pytest.raises(RestoreRefused, match="Stop every node"):  # type: ignore[arg-type]
        backup_restore(made, now=NOW)
    assert Backend.objects.get().name == "kept"


def test_passwords_are_no_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "$@" "$PGPASSWORD" >&2\nexit 1\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = {"sslmode": "prefer", "pool": {}, "options": "-c statement_timeout=1"}
    database = postgres.parameters({"NAME": "hub", "USER": "me", "PASSWORD": "s3cret", "HOST": "h", "OPTIONS": options})
    with pytest.raises(BackupFailed, match=r"--dbname=(?!.*s3cret.*s3cret).*user=me.* s3cret$") as found:
        postgres.dump(database, tmp_path / "dump")
    assert "statement_timeout" not in str(found.value)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(postgres, "_FOLDERS", "nowhere")
    with pytest.raises(BackupFailed, match="Install the client programs"):
        postgres.dump({"dbname": "x"}, tmp_path / "dump")
