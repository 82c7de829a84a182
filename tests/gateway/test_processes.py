"""Two web processes of one hub are one hub: messages, streams, reports and replaced connections cross between them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.gateway.people import People, Someone, agents, new_agent, people_of
from tests.gateway.wire import Wire, connected, welcomed
from tests.hub import Hub, wait_until
from tests.hubs import show_log
from tests.servers import database_url


@pytest.fixture
def mode() -> str:
    """These have a hub of their own."""
    return "two"


@pytest.fixture(scope="module", params=["redis", "alone"])
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: str, redis_url: str
) -> Iterator[Hub]:
    """A hub of two web processes. With Redis the bell rings at once; without, each looks each second."""
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    environ = {
        "AGENTHUB_WORKERS": "2",
        "DATABASE_URL": database_url(postgres_server, name),
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        **({"REDIS_URL": redis_url} if request.param == "redis" else {}),
    }
    with Hub(tmp_path_factory.mktemp("two"), environ=environ) as running:
        show_log(request, running)
        yield running


@contextmanager
def spread(hub: Hub, someone: Someone, count: int = 8) -> Iterator[list[Wire]]:
    """Several connections of a person, of which each process has some."""
    with ExitStack() as stack:
        yield [stack.enter_context(welcomed(hub, someone)) for _ in range(count)]


@pytest.fixture
def people(hub: Hub) -> People:
    """One of each role."""
    return people_of(hub)


def test_what_an_agent_sends_reaches_every_connection_of_a_person(hub: Hub, people: People) -> None:
    agent = new_agent(hub, may_notify=True)
    with spread(hub, people.operator) as tabs, welcomed(hub, agent) as wire:
        for n in range(20):
            wire.chat(people.operator.id, f"number {n}", f"n-{agent.id}-{n}")
        for tab in tabs:
            got = [tab.until("CHAT", sender_id=agent.id) for _ in range(20)]
            assert [frame["payload"] for frame in got] == [f"number {n}" for n in range(20)]
            tab.send("ACK", seq=got[-1]["seq"])


def test_each_person_is_heard_wherever_the_agent_is(hub: Hub, people: People) -> None:
    agent = new_agent(hub)
    with spread(hub, people.admin) as tabs, welcomed(hub, agent) as wire:
        for n, tab in enumerate(tabs):
            tab.chat(agent.id, str(n), f"a-{agent.id}-{n}")
        got = [wire.frame() for _ in tabs]
        assert [frame["payload"] for frame in got] == [str(n) for n in range(len(tabs))]
        assert [frame["seq"] for frame in got] == list(range(1, len(tabs) + 1))


def test_a_newer_connection_in_another_process_replaces_the_older(hub: Hub, people: People) -> None:
    agent = new_agent(hub)
    with ExitStack() as stack:
        wires = [stack.enter_context(welcomed(hub, agent)) for _ in range(6)]
        assert [wire.closed() for wire in wires[:-1]] == [4503] * 5
        wires[-1].beats()


def test_a_revoked_token_ends_connections_in_every_process(hub: Hub, people: People) -> None:
    some = [new_agent(hub) for _ in range(6)]
    with ExitStack() as stack:
        wires = [stack.enter_context(welcomed(hub, agent)) for agent in some]
        for agent in some:
            agents(hub, "PATCH", f"/{agent.id}/token", {"overlap_seconds": 0})
        assert [wire.closed() for wire in wires] == [4501] * 6


def test_of_many_connections_at_once_exactly_one_stays(hub: Hub, people: People) -> None:
    agent = new_agent(hub)
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(hub, agent)) for _ in range(8)]
        for wire in wires:
            wire.send("HELLO", v=1)
        [row] = wait_until(lambda: hub.rows("hub_agentsession", agent_id=agent.id), "One is the agent's")
        sessions = {wire.until("WELCOME")["session"]: wire for wire in wires}
        wait_until(lambda: closed_but_one(hub, agent, sessions), "The others end")
        assert row["agent_id"] == agent.id


def closed_but_one(hub: Hub, agent: Someone, sessions: dict[str, Wire]) -> bool:
    """Whether the connection of the row, and no other, is open."""
    [row] = hub.rows("hub_agentsession", agent_id=agent.id)
    ended = {name for name, wire in sessions.items() if wire.has_ended()}
    return ended == sessions.keys() - {row["session"]}
