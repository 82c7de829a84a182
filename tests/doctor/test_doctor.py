"""`agenthub doctor`: what it finds, and that it says what to do."""

import dataclasses
import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection

from agenthub.doctor import machine, others
from agenthub.doctor.finding import Finding
from heartbeat.backups import archive
from tests.factories import make_backend
from tests.servers import free_port

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
Usage = namedtuple("Usage", ["total", "used", "free"])
Given = Callable[..., None]


@pytest.fixture
def given(tmp_path: Path, settings: LazySettings) -> Given:
    """A way to give the environment other values; the data folder is the test's own."""

    def give(**values: Any) -> None:
        settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, **values)

    (tmp_path / "data").mkdir(mode=0o700)
    give(data_dir=tmp_path / "data", backup_dir=tmp_path / "data" / "backups", log_dir=None)
    return give


def doctor(*words: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code and what it has found."""
    out = StringIO()
    try:
        call_command("doctor", "--json", *words, stdout=out)
    except CommandError as problem:
        return problem.returncode, json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def levels(found: list[Finding]) -> list[str]:
    return [each.level for each in found]


@pytest.mark.django_db
def test_a_good_hub_has_nothing_that_failed(given: Given) -> None:
    code, found = doctor("--offline")
    assert code == 0
    checks = {each["check"] for each in found}
    assert checks == {
        *("configuration", "reverse proxy", "database", "redis", "clock"),
        *("disk", "journal", "permissions", "encryption key", "backup"),
    }
    assert all(each["advice"] for each in found if each["level"] in ("warning", "failed"))
    assert all(each["level"] != "failed" for each in found)


@pytest.mark.django_db
def test_a_backend_that_is_away_fails_and_is_named(given: Given) -> None:
    make_backend(name="gone", api_base_url=f"http://127.0.0.1:{free_port()}/v1")
    code, found = doctor()
    (backend,) = (each for each in found if each["check"] == "backends")
    assert (code, backend["level"]) == (1, "failed")
    assert backend["what"].startswith("gone: ")
    assert "backends test gone" in backend["advice"]


@pytest.mark.django_db
def test_people_read_lines_with_advice(given: Given) -> None:
    out = StringIO()
    call_command("doctor", "--offline", stdout=out)
    assert "→ Copy that file to a safe place" in out.getvalue()


def test_a_database_that_is_away(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "ensure_connection", away)
    (found,) = others.database()
    assert found.level == "failed"
    assert "DATABASE_URL" in found.advice


def test_redis(given: Given, redis_url: str) -> None:
    assert others.redis().level == "skipped"
    given(redis_url=redis_url)
    assert others.redis().level in ("ok", "warning")
    given(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    assert others.redis().level == "failed"


@pytest.mark.parametrize(("ahead", "level"), [(0.5, "ok"), (-5, "warning"), (40, "failed")])
def test_a_wrong_clock(monkeypatch: pytest.MonkeyPatch, ahead: float, level: str) -> None:
    monkeypatch.setattr(others, "_ahead_seconds", lambda: ahead)
    assert others.clock().level == level


def test_the_clock_of_the_database_server(on_postgres: None, given: Given) -> None:
    assert others.clock().level == "ok"
    assert "failed" not in levels(list(others.database()))
    given(database_pool_size=100)
    assert "warning" in levels(list(others.database()))


def test_little_room(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((10**7, "failed"), (5 * 10**8, "warning"), (10**10, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(10**12, 0, free))
        assert levels(list(machine.disk()))[:2] == [level, level]


def test_files_that_others_can_read(given: Given, tmp_path: Path) -> None:
    assert machine.permissions().level == "ok"
    (tmp_path / "data" / "x").touch(mode=0o644)
    (tmp_path / "data" / "x").chmod(0o644)
    assert machine.permissions().level == "warning"
    (tmp_path / "data" / "secrets.env").touch()
    (tmp_path / "data" / "secrets.env").chmod(0o640)
    found = machine.permissions()
    assert found.level == "failed"
    assert found.what.startswith("2 files")


@pytest.mark.django_db
def test_somebody_has_the_key_or_not(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTHUB_ENCRYPTION_KEY", raising=False)
    assert machine.encryption_key().level == "warning"
    doctor("--offline", "--key-noted")
    assert machine.encryption_key().level == "ok"
    given(encryption_key="0123456789abcdef" * 4)  # a new one asks again
    assert machine.encryption_key().level == "warning"
    monkeypatch.setenv("AGENTHUB_ENCRYPTION_KEY", "0123456789abcdef" * 4)
    assert machine.encryption_key().level == "ok"


def test_the_newest_backup(given: Given, tmp_path: Path) -> None:
    assert machine.newest_backup(now=NOW, days=0).level == "skipped"
    assert machine.newest_backup(now=NOW, days=7).level == "warning"
    folder = tmp_path / "data" / "backups"
    with archive.locked(folder), archive.unfinished(folder) as hidden:
        (hidden / "database.sqlite3").touch()
        archive.finished(hidden, now=NOW, kind="sqlite", version="1", why="daily", key_id="x")
    assert machine.newest_backup(now=NOW, days=7).level == "ok"
    assert machine.newest_backup(now=NOW + timedelta(days=3), days=7).level == "warning"


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({}, "skipped"),
        ({"host": "0.0.0.0"}, "warning"),
        ({"public_url": "http://hub.example"}, "warning"),
        ({"public_url": "https://hub.example"}, "warning"),
        ({"public_url": "https://hub.example", "trusted_proxies": ("10.0.0.1",)}, "ok"),
    ],
)
def test_behind_a_reverse_proxy(given: Given, values: dict[str, Any], level: str) -> None:
    given(**values)
    assert machine.reverse_proxy().level == level
