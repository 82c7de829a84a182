"""What every test may ask for. Plain tests run against SQLite in memory; what needs a server names its fixture."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from agenthub.core.databases import postgresql_database
from tests import servers

pytest_plugins = ["tests.hubs"]

_servers_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the private servers, in the process that runs the session."""
    if not hasattr(config, "workerinput"):
        config.stash[_servers_folder] = servers.make_folder()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the private servers when the whole session is over."""
    folder = config.stash.get(_servers_folder, None)
    if folder is not None:
        servers.stop_all(folder)


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The address of a PostgreSQL server; use `postgres_url` for a database of the test's own."""
    try:
        return servers.postgres_url()
    except servers.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database that only this test knows."""
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield servers.database_url(postgres_server, name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of a Redis server, shared with other tests: use keys of your own, never flush."""
    try:
        return servers.redis_url()
    except servers.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture
def on_postgres(postgres_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """This test's default database is a migrated one on PostgreSQL, without a transaction around the test."""
    original = connections.settings["default"]
    original_connection = connections["default"]
    with django_db_blocker.unblock():
        connections.settings["default"] = {**original, **postgresql_database(postgres_url)}
        del connections["default"]
        ContentType.objects.clear_cache()  # it remembers ids of the other database
        try:
            call_command("migrate", verbosity=0)
            yield
        finally:
            connections["default"].close()
            connections["default"].close_pool()  # type: ignore[attr-defined]
            connections.settings["default"] = original
            connections["default"] = original_connection
            ContentType.objects.clear_cache()
