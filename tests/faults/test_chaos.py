"""Thousands of requests over five backends, four of which do everything wrong that a provider can.

No client sees an error while the fifth is well, but for streams that are cut after content, which are marked; every
request is in the sums as it was; and nothing is left behind of any of them.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agenthub.demo.standin.server import StandIn
from tests.faults.chaos.clients import Clients
from tests.faults.chaos.figures import memory_bytes, sockets_of
from tests.faults.chaos.judging import Judge, sums_differ
from tests.faults.chaos.plan import Plan
from tests.hub import Hub, wait_until
from tests.proxy.conftest import new_key
from tests.proxy.route import Route, make_route
from tests.stand_in import standin_in_thread

REQUESTS = int(os.environ.get("TORTURE_CHAOS", "1000"))
AT_ONCE = 32
ROUNDS = 3
"""The first warms up; the memory after the second is compared with that after the last."""

BACKENDS = {
    "completions": ("openai-completions", "primary"),
    "messages": ("anthropic-messages", "primary"),
    "responses": ("openai-responses", "primary"),
    "ollama": ("ollama", "fallback"),
    "healthy": ("openai-completions", "fallback"),
}
"""Their kinds and pools."""

SETTINGS = {"cooldown_base_seconds": 0.2, "cooldown_max_seconds": 2, "stream_idle_timeout_seconds": 10}
"""Short cooldowns, so that faults are met often; the idle limit is longer than a busy machine keeps a test waiting."""

HEALTHY_AT_ONCE = 16
"""Fewer than there are clients, so that some wait in the queue while all others are cooling down."""

GIVES_MEMORY_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc else keeps the megabytes of a huge event, now and then, and what leaks could not be told from that."""

GROWTH_BYTES, GROWTH_BYTES_PER_REQUEST = 8 * 1024**2, 2048
"""What the memory of the web process may grow by: some noise, and far less than one request keeps."""


@pytest.mark.timeout(300 + REQUESTS // 10)
def test_chaos_reaches_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(os.environ.get("TORTURE_SEED") or str(random.SystemRandom().randrange(1_000_000_000)))
    print(f"TORTURE_SEED={plan.seed} TORTURE_CHAOS={REQUESTS}")
    with standin_in_thread() as standin, Hub(tmp_path, environ=GIVES_MEMORY_BACK) as hub, hub.settings(**SETTINGS):
        key = new_key(hub)
        route = _route(hub, standin, key, plan)
        clients = Clients(hub, key, route.model, plan)
        web = hub.pid("web")
        others = sockets_of(web).others
        began = time.monotonic()
        memory = _serve(route, clients, web)
        seconds = time.monotonic() - began
        judge = Judge(plan, clients.came, backends=route.ids)
        records = hub.records(route.model, count=REQUESTS)
        complaints = judge.complaints(records)
        complaints += sums_differ(records, hub.rows("providers_hourlyusage", model=route.model), broken=judge.broken)
        with capsys.disabled():
            print(_report(plan, records, seconds=seconds, memory=memory))
        assert not complaints, "\n".join([f"{len(complaints)} complaints", *complaints[:20]])
        growth, asked = memory[-1] - memory[-2], REQUESTS // ROUNDS
        assert growth < GROWTH_BYTES + GROWTH_BYTES_PER_REQUEST * asked, f"{memory}: {growth / asked:.0f} B a request"
        _assert_nothing_left(route, web, others=others)


def _serve(route: Route, clients: Clients, web: int) -> list[int]:
    """Have everything asked, round by round; the memory of the web process before all and after each."""
    memory = [memory_bytes(web)]
    with _operator(route, clients):
        for number in range(ROUNDS):
            numbers = range(REQUESTS * number // ROUNDS, REQUESTS * (number + 1) // ROUNDS)
            clients.run(numbers, at_once=AT_ONCE)
            wait_until(partial(_at_rest, route.hub), "No request is under way and none waits")
            memory.append(memory_bytes(web))
    return memory


def _route(hub: Hub, standin: StandIn, key: str, plan: Plan) -> Route:
    """The model with its five backends; the four know that they are not to be waited for."""
    fields: dict[str, dict[str, Any]] = {
        name: {"api": kind, "pool": pool, "rpm_limit": None} for name, (kind, pool) in BACKENDS.items()
    }
    faulty = [name for name in BACKENDS if name != "healthy"]
    for name in faulty:
        fields[name]["timeout_seconds"] = 1
    fields["healthy"]["max_concurrency"] = HEALTHY_AT_ONCE
    mappings = {name: {"first_token_timeout_seconds": 0.5} for name in faulty}
    mappings["healthy"] = {"first_token_timeout_seconds": 60.0}
    route = make_route(hub, standin, BACKENDS, key=key, fields=fields, mappings=mappings)
    for name, (kind, _) in BACKENDS.items():
        standin.script_by(route.path(name), partial(plan.answer, name, kind, healthy=name == "healthy"))
    return route


@contextmanager
def _operator(route: Route, clients: Clients) -> Iterator[None]:
    """Somebody who sends backends that cool down or are in error back to work, so that they meet many requests.

    For a quarter of the time nobody does, and all but the healthy one are out.
    """
    over = threading.Event()

    def clear() -> None:
        while not over.wait(0.15):
            if len(clients.came) // 500 % 4 == 3:
                continue
            for backend in route.hub.management.request("GET", "/backends", limit=100):
                if backend["id"] in route.ids.values() and backend["status"] != "healthy":
                    route.hub.management.request("POST", f"/backends/{backend['id']}/clear-cooldown")

    thread = threading.Thread(target=clear, name="operator")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _at_rest(hub: Hub) -> bool:
    with hub.client(hub.token) as client:
        text = client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return float(values["agenthub_inflight"]) == float(values["agenthub_queue_depth"]) == 0.0


def _assert_nothing_left(route: Route, web: int, *, others: int) -> None:
    """No upstream request goes on, and of the sockets only idle ones of the pool are left."""
    standin, hub_port = route.standin, int(route.hub.base_url.rpartition(":")[2])

    def only_idle() -> bool:
        sockets = sockets_of(web)
        kept = sockets.remote[standin.port] == len(standin.connections)
        # The listening socket, and at most the connections of the management client.
        return kept and sockets.local[hub_port] <= 3 and sockets.others <= others

    for seen in standin.seen():
        wait_until(lambda seen=seen: seen.finished or seen.disconnected, f"It has ended: {seen}")  # type: ignore[misc]
    wait_until(only_idle, f"Only idle sockets: {sockets_of(web)}, the stand-in has {len(standin.connections)}")


def _report(plan: Plan, records: list[dict[str, Any]], *, seconds: float, memory: list[int]) -> str:
    attempts = sum(len(given) for given in plan.given.values())
    ends = Counter(f"{record['status']} {record['error_type']}".strip() for record in records)
    megabytes = ", ".join(f"{each / 1024**2:.1f}" for each in memory)
    waited = sum(bool(record["queue_wait_us"]) for record in records)
    return "\n".join(
        [
            f"\nTORTURE_SEED={plan.seed}: {len(records)} requests in {seconds:.1f} s, {attempts} to backends",
            f"ends: {dict(ends)}; {waited} waited in the queue",
            f"memory of the web process before all and after each round, in MiB: {megabytes}",
            f"met: {dict(plan.counts().most_common())}",
        ]
    )
