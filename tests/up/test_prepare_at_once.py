"""`agenthub prepare` on many nodes at the same moment: all succeed, and everything is made once."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.hub import REPOSITORY
from tests.settings import OURS

NODES = 3
KEYS = {"AGENTHUB_ENCRYPTION_KEY": "0123456789abcdef" * 4, "AGENTHUB_SECRET_KEY": "a secret of many nodes, " * 3}

pytestmark = pytest.mark.timeout(240)


def outside() -> dict[str, str]:
    """The environment without what these tests run with."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))}


def prepare_at_once(folders: list[Path], **environ: str) -> list[str]:
    """Start `agenthub prepare` in each data folder; what each of them says, once all have succeeded."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "agenthub", "prepare"],
            env=outside() | {"AGENTHUB_DATA_DIR": str(folder)} | environ,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder in folders
    ]
    said = [process.communicate(timeout=200)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(folders), said
    return said


def assert_made_once(said: list[str], migrations: list[tuple[str, str]], users: int) -> None:
    assert sum("This is the first start" in each for each in said) == 1
    assert users == 1
    assert len(migrations) == len(set(migrations)) > 10


def test_on_one_empty_postgresql_database(tmp_path: Path, postgres_url: str) -> None:
    folders = [tmp_path / f"node{number}" for number in range(NODES)]
    said = prepare_at_once(folders, DATABASE_URL=postgres_url, **KEYS)
    with psycopg.connect(postgres_url) as database:
        migrations = database.execute("SELECT app, name FROM django_migrations").fetchall()
        users = database.execute("SELECT count(*) FROM auth_user").fetchone()
        assert users is not None
        assert_made_once(said, migrations, users[0])


def test_on_one_sqlite_file(tmp_path: Path) -> None:
    said = prepare_at_once([tmp_path] * NODES)
    with closing(sqlite3.connect(tmp_path / "agenthub.sqlite3")) as database:
        migrations = database.execute("SELECT app, name FROM django_migrations").fetchall()
        assert_made_once(said, migrations, database.execute("SELECT count(*) FROM auth_user").fetchone()[0])


def test_a_damaged_sqlite_file_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "agenthub.sqlite3").write_bytes(b"this is no database" * 500)
    ended = subprocess.run(
        [sys.executable, "-m", "agenthub", "prepare"],
        env=outside() | {"AGENTHUB_DATA_DIR": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 1
    assert "is damaged" in ended.stderr
    assert "agenthub restore" in ended.stderr
