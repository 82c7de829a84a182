"""Whole hubs that tests share, one of each mode in a test process."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.hub import Hub
from tests.servers import database_url

MODES = ["embedded", "distributed"]
"""The hubs that a test may ask for with a parameter or fixture `mode`."""

_hubs = pytest.StashKey[list[Hub]]()


def show_log(request: pytest.FixtureRequest, hub: Hub) -> None:
    """Tests that fail from now on show what this hub has logged."""
    request.session.stash.setdefault(_hubs, []).append(hub)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed test shows what its hub has logged."""
    report = yield
    if report.failed:
        for hub in item.session.stash.get(_hubs, []):
            report.sections.append((f"log of the hub in {hub.folder}", hub.log()[-6000:]))
    return report


@pytest.fixture(scope="session")
def embedded_hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub as it comes."""
    with Hub(tmp_path_factory.mktemp("embedded")) as running:
        show_log(request, running)
        yield running


@pytest.fixture(scope="session")
def distributed_hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: str, redis_url: str
) -> Iterator[Hub]:
    """A hub on PostgreSQL and Redis."""
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    environ = {
        "DATABASE_URL": database_url(postgres_server, name),
        "REDIS_URL": redis_url,
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS": "true",
        # The embedded hub serves completions the short way; this one shows that plain ASGI does the same.
        "AGENTHUB_SHORT_WAY": "false",
    }
    with Hub(tmp_path_factory.mktemp("distributed"), environ=environ) as running:
        show_log(request, running)
        yield running


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Hub:
    """The hub of this test: embedded, unless the test asks for another `mode`."""
    mode = request.getfixturevalue("mode") if "mode" in request.fixturenames else "embedded"
    running: Hub = request.getfixturevalue(f"{mode}_hub")
    return running
