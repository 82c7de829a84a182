"""A budget under pressure: it ends within the requests in flight, and no restart or `kill -9` begins it anew."""

import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.hub import Hub, wait_until
from tests.proxy.conftest import new_key
from tests.proxy.route import Route, make_route
from tests.stand_in import standin_in_thread

CHAT = "/v1/chat/completions"
PARALLEL = 50
COST = Decimal("0.05")
BUDGET = Decimal(1)
MODES = ["embedded", "postgres"]


def environ_of(mode: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What tells the hub where its database is."""
    if mode == "embedded":
        return {}
    return {
        "DATABASE_URL": request.getfixturevalue("postgres_url"),
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS": "true",
    }


def priced_route(hub: Hub, standin: StandIn, key: str) -> Route:
    """A model of which each answer costs five cents."""
    prices = {"cost": {"input": "0", "output": "0.01"}}
    made = make_route(hub, standin, ["only"], key=key, mappings={"only": prices})
    made.script("only", Script(prompt_tokens=1, completion_tokens=5, before_head_seconds=0.02))
    return made


def spend(hub: Hub, key: str, body: dict[str, Any]) -> list[int]:
    """Ask with many callers at once, each until one is refused or the hub is gone; the statuses of all answers."""
    return asyncio.run(_spend(hub, key, body))


async def _spend(hub: Hub, key: str, body: dict[str, Any]) -> list[int]:
    statuses: list[int] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while not statuses or statuses[-1] == 200:
            try:
                statuses.append((await client.post(CHAT, json=body)).status_code)
            except httpx.TransportError:
                return

    headers = {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=PARALLEL)
    async with httpx.AsyncClient(base_url=hub.base_url, headers=headers, limits=limits, trust_env=False) as client:
        await asyncio.gather(*(ask(client) for _ in range(PARALLEL)))
    return statuses


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MODES)
def test_a_budget_ends_within_what_is_in_flight_and_stays_spent(
    mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with standin_in_thread() as standin, Hub(tmp_path, environ=environ_of(mode, request)) as hub:
        key = new_key(hub, budget_usd=str(BUDGET), budget_period="month")
        route = priced_route(hub, standin, key)
        statuses = spend(hub, key, route.chat())
        served = statuses.count(200)
        assert BUDGET / COST <= served <= BUDGET / COST + PARALLEL
        assert set(statuses) == {200, 429}
        for restart in (hub.kill9, hub.stop):
            restart()
            hub.start()
            with hub.client(key) as client:
                refused = client.post(CHAT, json=route.chat())
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
                assert Decimal(client.get("/v1/key").json()["budget"]["spent"]) == served * COST
        assert len(route.seen("only")) == served


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MODES)
def test_what_was_spent_in_the_moment_of_a_kill_is_remembered(
    mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with standin_in_thread() as standin, Hub(tmp_path, environ=environ_of(mode, request)) as hub:
        key = new_key(hub, budget_usd="1000", budget_period="total")
        route = priced_route(hub, standin, key)
        finished: list[int] = []
        loads = threading.Thread(target=lambda: finished.extend(spend(hub, key, route.chat())))
        loads.start()
        standin.wait(lambda _: len(route.seen("only")) > 150)
        hub.kill9()
        loads.join()
        hub.start()
        wait_until(lambda: not journal_left(hub), "The journal of the dead is in the database")
        with hub.client(key) as client:
            spent = Decimal(client.get("/v1/key").json()["budget"]["spent"])
        # Whoever got its answer has paid for it; some have paid whose answer the kill cut off.
        assert finished.count(200) * COST <= spent <= len(route.seen("only")) * COST


def journal_left(hub: Hub) -> bool:
    """Whether a segment of a dead process waits to be brought into the database: all but the running one's."""
    return len(list((hub.data_dir / "journal").glob("*.journal"))) > 1
