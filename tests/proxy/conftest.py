"""What tests of a whole hub ask for: hubs, a stand-in provider, and routes between them."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from agenthub.demo.standin.server import StandIn
from tests.conftest import psycopg_url
from tests.hub import Hub, wait_until
from tests.proxy.route import Route, make_route
from tests.stand_in import standin_in_thread

MakeRoute = Callable[..., Route]

MODES = ["embedded", "distributed"]
"""The hubs that a test may ask for with a parameter or fixture `mode`."""

_hubs = pytest.StashKey[list[Hub]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed test shows what its hub has logged."""
    report = yield
    if report.failed:
        for hub in item.session.stash.get(_hubs, []):
            report.sections.append((f"log of the hub in {hub.folder}", hub.log()[-6000:]))
    return report


@pytest.fixture(scope="session")
def standin() -> Iterator[StandIn]:
    """The stand-in provider; backends are told apart by their routes."""
    with standin_in_thread() as running:
        yield running


@pytest.fixture(scope="session")
def embedded_hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub as it comes."""
    with Hub(tmp_path_factory.mktemp("embedded")) as running:
        request.session.stash.setdefault(_hubs, []).append(running)
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
        "DATABASE_URL": psycopg_url(postgres_server, name),
        "REDIS_URL": redis_url,
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS": "true",
        # The embedded hub serves completions the short way; this one shows that plain ASGI does the same.
        "AGENTHUB_SHORT_WAY": "false",
    }
    with Hub(tmp_path_factory.mktemp("distributed"), environ=environ) as running:
        request.session.stash.setdefault(_hubs, []).append(running)
        yield running


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Hub:
    """The hub of this test: embedded, unless the test asks for another `mode`."""
    mode = request.getfixturevalue("mode") if "mode" in request.fixturenames else "embedded"
    running: Hub = request.getfixturevalue(f"{mode}_hub")
    return running


@pytest.fixture
def key(hub: Hub) -> str:
    """A client key that may use all models."""
    return new_key(hub)


def new_key(hub: Hub, **fields: Any) -> str:
    """A new client key, which the proxy knows by now."""
    key = str(hub.management.request("POST", "/keys", {"name": "test", **fields})["key"])
    with hub.client(key) as client:
        wait_until(lambda: client.get("/v1/key").status_code == 200, "The new client key is good")
    return key


def queue_depth(hub: Hub) -> int:
    """How many requests wait."""
    with httpx.Client(base_url=hub.base_url, trust_env=False) as client:
        text = client.get("/metrics", headers={"authorization": f"Bearer {hub.token}"}).text
    values = [line.split()[-1] for line in text.splitlines() if line.startswith("agenthub_queue_depth")]
    return int(sum(float(value) for value in values))


@pytest.fixture
def route(hub: Hub, standin: StandIn, key: str) -> MakeRoute:
    """Makes a model with the backends that are named, in this order."""

    def make(*names: str, **special: Any) -> Route:
        return make_route(hub, standin, names, key=key, **special)

    return make


@pytest.fixture
def client(hub: Hub, key: str) -> Iterator[httpx.Client]:
    """A plain client with a client key."""
    with hub.client(key) as running:
        yield running
