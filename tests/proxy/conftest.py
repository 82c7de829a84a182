"""What tests of a whole hub ask for: hubs, a stand-in provider, and routes between them."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.server import StandIn
from tests.hub import Hub, wait_until
from tests.proxy.route import Route, make_route
from tests.stand_in import standin_in_thread

MakeRoute = Callable[..., Route]


@pytest.fixture(scope="session")
def standin() -> Iterator[StandIn]:
    """The stand-in provider; backends are told apart by their routes."""
    with standin_in_thread() as running:
        yield running


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
