"""A hub of several web processes that share their state in a Redis of its own, which is held and killed under load."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis
from psycopg import sql

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.hub import START_SECONDS, Hub, wait_until
from tests.proxy.private_redis import PrivateRedis
from tests.proxy.route import Route, make_route
from tests.servers import database_url
from tests.stand_in import standin_in_thread

WORKERS = 4
LOAD_SECONDS = 3.0
PRESSURE_SECONDS = float(os.environ.get("TORTURE_LIMIT_SECONDS", "0"))
"""How long the pressure on one limit goes on after it has been there for some time."""
NO_LONGER_THAN_SECONDS = 1.0
"""What a request may lose by a Redis that is away."""

PER_SECOND, BURST = 10, 5
LIMITED = {"rpm_limit": 60 * PER_SECOND, "burst": BURST}


@contextmanager
def spread_client(hub: Hub, key: str) -> Iterator[httpx.Client]:
    """A client with a connection for each request, so that every web process gets its part of them."""
    with hub.client(key) as client:
        client.headers["connection"] = "close"
        yield client


class Load:
    """Clients that ask as fast as they are answered, and note how it went."""

    def __init__(self, hub: Hub, key: str, route: Route, *, clients: int = 6) -> None:
        self.statuses: Counter[int] = Counter()
        self.longest_seconds = 0.0
        self._hub, self._key, self._body = hub, key, route.chat()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with spread_client(self._hub, self._key) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                status = client.post("/v1/chat/completions", json=self._body).status_code
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                self.statuses[status] += 1
                if status != 200:
                    self._stop.wait(0.01)


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with standin_in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, server: PrivateRedis) -> Iterator[Hub]:
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    environ = {
        "DATABASE_URL": database_url(postgres_server, name),
        "REDIS_URL": server.url,
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS": "true",
        "AGENTHUB_WORKERS": str(WORKERS),
        # Nobody waits and nobody is let through besides: what comes through is what the buckets gave.
        "AGENTHUB_QUEUE_TIMEOUT_SECONDS": "0",
        "AGENTHUB_EMERGENCY_RPM_FRACTION": "0",
    }
    with Hub(tmp_path_factory.mktemp("hub"), environ=environ) as running:
        yield running


@pytest.fixture
def key(hub: Hub) -> str:
    return new_key(hub)


def new_key(hub: Hub, **fields: Any) -> str:
    """A client key that every web process knows."""
    made = str(hub.management.request("POST", "/keys", {"name": "test", **fields})["key"])
    everywhere(hub, made, lambda client: client.get("/v1/key").status_code == 200)
    return made


def everywhere(hub: Hub, key: str, good: Any) -> None:
    """Come back when many connections in a row have met a process for which it is so."""

    with spread_client(hub, key) as client:
        wait_until(lambda: all(good(client) for _ in range(5 * WORKERS)), "every web process knows")


def route_with(hub: Hub, standin: StandIn, key: str, **fields: Any) -> Route:
    route = make_route(hub, standin, ["only"], key=key, fields={"only": fields})
    everywhere(hub, key, lambda client: client.get(f"/v1/models/{route.model}").status_code == 200)
    return route


def sharing(hub: Hub, state: str) -> bool:
    """Whether every web process says that its state is `shared` or `local`."""
    with hub.client() as client:
        lines = client.get("/metrics", headers={"authorization": f"Bearer {hub.token}"}).text.splitlines()
    return f'agenthub_shared_state{{state="{state}"}} {float(WORKERS)}' in lines


def wait_shared(hub: Hub, state: str = "shared", *, seconds: float = 20.0) -> None:
    wait_until(lambda: sharing(hub, state), f"every process is {state}", seconds=seconds)


def most(seconds: float) -> float:
    """How many requests a backend may see in a time."""
    return PER_SECOND * seconds + BURST


EMERGENCY = 1
"""Each emergency bucket has one request a minute, also where its fraction is 0."""


@pytest.mark.timeout(120 + PRESSURE_SECONDS)
def test_one_limit_holds_for_all_processes(hub: Hub, key: str, standin: StandIn) -> None:
    wait_shared(hub)
    route = route_with(hub, standin, key, **LIMITED)
    began = time.monotonic()
    with Load(hub, key, route) as load:
        wait_until(lambda: load.statuses[200] >= 6 * BURST and load.statuses[503], "there is pressure for some time")
        time.sleep(PRESSURE_SECONDS)
    seen = len(route.seen("only"))
    seconds = time.monotonic() - began
    print(f"{seen} requests reached the backend in {seconds:.1f} s; at most {most(seconds):.0f} were allowed")
    assert seen <= most(seconds) + EMERGENCY * (1 + seconds / 60)
    assert set(load.statuses) == {200, 503}


def test_a_429_cools_in_all_processes_and_is_one_event(hub: Hub, key: str, standin: StandIn) -> None:
    wait_shared(hub)
    route = route_with(hub, standin, key, rpm_limit=None)
    route.script("only", Script(status=429, headers={"retry-after": "30"}, before_head_seconds=0.2))
    with Load(hub, key, route, clients=12) as load:
        wait_until(lambda: sum(load.statuses.values()) >= 60, "many were refused")
    # Those that were under way together, and none after them but by the emergency channel, whose 429 is another one.
    assert 0 < len(route.seen("only")) <= 12 + EMERGENCY
    assert len(route.events("only")) == 1
    assert route.backend("only")["consecutive_429_count"] <= 1 + EMERGENCY


@pytest.mark.parametrize("how", ["kill", "hold"])
def test_nobody_waits_or_fails_for_a_redis_that_goes_away(
    hub: Hub, key: str, standin: StandIn, server: PrivateRedis, how: str
) -> None:
    wait_shared(hub)
    free = route_with(hub, standin, key, rpm_limit=None)
    limited = route_with(hub, standin, key, **LIMITED)
    with Load(hub, key, free, clients=3) as served, Load(hub, key, limited, clients=3) as pressed:
        wait_until(lambda: served.statuses[200] > 20 and pressed.statuses[200] > BURST, "requests are served")
        getattr(server, how)()
        wait_shared(hub, "local")
        before, began = len(limited.seen("only")), time.monotonic()
        time.sleep(LOAD_SECONDS)
        seen, seconds = len(limited.seen("only")) - before, time.monotonic() - began
        with hub.client() as client:
            parts = client.get("/ready").json()
        server.kill()
        server.start()
        wait_shared(hub, seconds=5)
    assert set(served.statuses) == {200}
    assert max(served.longest_seconds, pressed.longest_seconds) < NO_LONGER_THAN_SECONDS + 1.0
    # The shares make one limit; each process has an emergency bucket of its own.
    assert seen <= most(seconds) + WORKERS * EMERGENCY
    assert seen > 0
    assert (parts["redis"], parts["shared_state"]) == ("unavailable", "local")
    log = hub.log()
    assert log.count("shared_state_away") >= WORKERS
    assert log.count("shared_state_back") >= WORKERS


def test_cooldowns_and_budgets_outlive_a_redis_that_comes_back_empty(
    hub: Hub, standin: StandIn, server: PrivateRedis
) -> None:
    wait_shared(hub)
    key = new_key(hub, budget_usd="1", budget_period="day")
    cooled = route_with(hub, standin, key, rpm_limit=None)
    cooled.script("only", Script(status=429, headers={"retry-after": "600"}))
    priced = route_with(hub, standin, key, rpm_limit=None)
    # Each costs 0.4 USD: two requests and a third may go, no fourth.
    priced.script("only", Script(prompt_tokens=0, completion_tokens=40_000))

    def ask(route: Route) -> int:
        with spread_client(hub, key) as client:
            return client.post("/v1/chat/completions", json=route.chat()).status_code

    assert ask(cooled) == 503
    assert [ask(priced) for _ in range(2)] == [200, 200]
    server.kill()
    wait_shared(hub, "local")
    server.start()
    wait_shared(hub, seconds=5)
    assert {ask(cooled) for _ in range(3 * WORKERS)} == {503}
    assert len(cooled.seen("only")) <= 1 + 2 * EMERGENCY  # of an empty Redis, the emergency bucket is full again
    assert ask(priced) == 200
    assert [ask(priced) for _ in range(2 * WORKERS)] == [429] * 2 * WORKERS
    assert len(priced.seen("only")) == 3


def test_the_requests_of_a_killed_process_free_their_places(hub: Hub, key: str, standin: StandIn) -> None:
    wait_shared(hub)
    route = route_with(hub, standin, key, rpm_limit=None, max_concurrency=1)
    route.script("only", Script(chunks=1000, between_chunks_seconds=0.1), Script())
    busy = threading.Thread(target=_stream_until_it_breaks, args=(hub, key, route))
    busy.start()
    route.wait_seen("only", lambda _: True)
    with hub.client(key) as client:
        assert client.post("/v1/chat/completions", json=route.chat()).status_code == 503
        for pid in web_processes(hub):
            os.kill(pid, signal.SIGKILL)
    busy.join()
    with spread_client(hub, key) as client:

        def served() -> bool:
            try:
                return client.post("/v1/chat/completions", json=route.chat()).status_code == 200
            except httpx.TransportError:
                return False  # none has come back yet

        wait_until(served, "the place is free again", seconds=START_SECONDS)


def _stream_until_it_breaks(hub: Hub, key: str, route: Route) -> None:
    with hub.client(key) as client:
        try:
            with client.stream("POST", "/v1/chat/completions", json=route.chat(stream=True)) as answer:
                for _ in answer.iter_bytes():
                    pass
        except httpx.TransportError:
            return


def web_processes(hub: Hub) -> list[int]:
    """The ids of the hub's web processes."""
    return [pid for pid in hub.pids() if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] == b"web"]


def test_a_change_is_pushed_to_all_processes(hub: Hub, server: PrivateRedis) -> None:
    wait_shared(hub)
    with redis.Redis.from_url(server.url) as client:
        (channel,) = client.pubsub_channels("ah1:*")
        (_, listeners), *_ = client.pubsub_numsub(channel)
        assert listeners == WORKERS
        with client.pubsub() as news:
            news.subscribe(channel)
            assert news.get_message(timeout=5)["type"] == "subscribe"
            new_key(hub)
            assert news.get_message(timeout=5)["data"].endswith(b"changed")
