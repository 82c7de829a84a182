"""PostgreSQL stops for a while under load: requests are served, the journal fills, then all of it is counted."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from tests import servers
from tests.hub import Hub, wait_until
from tests.proxy.conftest import new_key
from tests.proxy.route import make_route
from tests.servers import PrivatePostgres
from tests.stand_in import standin_in_thread
from tests.up.test_reload import web_pids

KEYS = {"AGENTHUB_ENCRYPTION_KEY": "0123456789abcdef" * 4, "AGENTHUB_SECRET_KEY": "a secret of many nodes, " * 3}
AWAY_SECONDS = float(os.environ.get("TORTURE_DATABASE_AWAY_SECONDS", "4"))
CHAT = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[PrivatePostgres]:
    """A PostgreSQL server that only this test knows."""
    try:
        with servers.private_postgres() as private:
            yield private
    except servers.Missing as reason:
        pytest.skip(str(reason))


class Load:
    """Clients that ask one after the other and note how that went."""

    def __init__(self, hub: Hub, key: str, body: dict[str, object]) -> None:
        self.statuses: Counter[int] = Counter()
        self._hub, self._key, self._body = hub, key, body
        self.stop = threading.Event()

    def ask(self) -> None:
        """Until `stop` is set."""
        with self._hub.client(self._key) as client:
            while not self.stop.wait(0.02):
                self.statuses[client.post(CHAT, json=self._body).status_code] += 1


@pytest.mark.timeout(300 + 2 * AWAY_SECONDS)
def test_a_database_that_is_restarted_is_survived_by_every_process(tmp_path: Path, server: PrivatePostgres) -> None:
    environ = {**KEYS, "DATABASE_URL": server.url, "AGENTHUB_WORKERS": "2", "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS": "on"}
    with (
        standin_in_thread() as standin,
        Hub(tmp_path, environ=environ) as hub,
        ThreadPoolExecutor(4) as pool,
        ExitStack() as guard,
    ):
        key = new_key(hub)
        route = make_route(hub, standin, ("only",), key=key, fields={"only": {"rpm_limit": None}})
        # Each process hears of the key and the route within a second; whoever asks earlier is told that there is none.
        wait_until(lambda: all(_serves(hub, key, route.chat()) for _ in range(10)), "both processes know the route")
        before, pids = len(route.seen("only")), web_pids(hub)
        load = Load(hub, key, route.chat())
        guard.callback(load.stop.set)
        asking = [pool.submit(load.ask) for _ in range(4)]
        wait_until(lambda: load.statuses[200] > 20, "requests are served")
        server.stop()
        served = load.statuses[200]
        began = time.monotonic()
        wait_until(lambda: "journal_flush_waits" in hub.log(), "the flusher has noticed", seconds=60)
        wait_until(
            lambda: load.statuses[200] > served + 50 and time.monotonic() - began > AWAY_SECONDS,
            "requests are served without the database",
            seconds=60 + AWAY_SECONDS,
        )
        assert list((hub.data_dir / "journal").glob("*.journal"))
        server.start()
        wait_until(lambda: _ready(hub), "the hub has its database again", seconds=60)
        load.stop.set()
        for each in asking:
            each.result()
        assert set(load.statuses) == {200}
        total = before + load.statuses[200]
        wait_until(lambda: _counted(server.url, route.model) == (total, total), "all are counted once", seconds=60)
        assert web_pids(hub) == pids
        assert "child_died" not in hub.log()
        assert hub.management.request("GET", "/backends")


def _serves(hub: Hub, key: str, body: dict[str, object]) -> bool:
    """On a connection of its own, which any of the processes may get."""
    with hub.client(key) as client:
        return client.post(CHAT, json=body).status_code == 200


def _ready(hub: Hub) -> bool:
    return httpx.get(f"{hub.base_url}/ready", trust_env=False, timeout=30).status_code == 200


def _counted(url: str, model: str) -> tuple[int, int]:
    """Records, and requests in the sums."""
    with psycopg.connect(url) as database:
        row = database.execute(
            "SELECT (SELECT count(*) FROM providers_usagerecord WHERE model = %(model)s AND status = 200), "
            "(SELECT sum(request_count - error_count) FROM providers_hourlyusage WHERE model = %(model)s)",
            {"model": model},
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1] or 0)
