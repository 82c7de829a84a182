"""Databases that forked processes can share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from agenthub.core.databases import sqlite_database


@pytest.fixture
def on_sqlite_file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """This test's default database is a migrated SQLite file, as an embedded hub has it."""
    original, original_connection = connections.settings["default"], connections["default"]
    with django_db_blocker.unblock():
        connections.settings["default"] = {**original, **sqlite_database(tmp_path / "agenthub.sqlite3")}
        del connections["default"]
        ContentType.objects.clear_cache()  # it remembers ids of the other database
        try:
            call_command("migrate", verbosity=0)
            yield
        finally:
            connections["default"].close()
            connections.settings["default"] = original
            connections["default"] = original_connection
            ContentType.objects.clear_cache()


@pytest.fixture(params=["on_sqlite_file", "on_postgres"])
def shared_database(request: pytest.FixtureRequest) -> str:
    """A database that several processes can use, once of each kind."""
    request.getfixturevalue(request.param)
    return str(request.param)
