"""What tests of the WebSocket ask for."""

import pytest

from tests.gateway.people import People, Someone, new_agent, people_of
from tests.hub import Hub
from tests.hubs import MODES


@pytest.fixture(params=MODES, autouse=True)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of the wire runs in both modes."""
    return str(request.param)


@pytest.fixture
def people(hub: Hub) -> People:
    """One of each role."""
    return people_of(hub)


@pytest.fixture
def agent(hub: Hub) -> Someone:
    """An agent of this test alone."""
    return new_agent(hub)
