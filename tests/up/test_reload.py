"""`agenthub reload`: every process is replaced, and no request, stream or page is lost over it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.hub import REPOSITORY, Hub, wait_until
from tests.proxy.conftest import new_key
from tests.proxy.route import Route, make_route
from tests.proxy.streams import read_stream
from tests.servers import free_port
from tests.stand_in import standin_in_thread

CHAT = "/v1/chat/completions"
WORKERS = 4
CLIENTS = 4

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with standin_in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the hub's variables."""
    file = tmp_path_factory.mktemp("variables") / "agenthub.env"
    file.write_text("AGENTHUB_SHUTDOWN_GRACE_SECONDS=300\nAGENTHUB_STREAM_IDLE_TIMEOUT_SECONDS=300\n")
    return file


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, env_file: Path) -> Iterator[Hub]:
    """A hub of one web process, as yet."""
    environ = {"AGENTHUB_METRICS_PORT": str(free_port()), "AGENTHUB_ENV_FILE": str(env_file)}
    with Hub(tmp_path_factory.mktemp("four"), environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def key(one: Hub) -> str:
    return new_key(one)


@pytest.fixture(scope="module")
def route(one: Hub, standin: StandIn, key: str) -> Route:
    unlimited = {"rpm_limit": None}
    return make_route(one, standin, ("only",), key=key, fields={"only": unlimited})


@pytest.fixture(scope="module")
def gated(one: Hub, standin: StandIn, key: str) -> Route:
    """A route whose answers wait at gates."""
    return make_route(one, standin, ("slow",), key=key, fields={"slow": {"rpm_limit": None}})


@pytest.fixture(scope="module")
def hub(one: Hub, route: Route, gated: Route, env_file: Path) -> Hub:
    """The hub after a reload to four web processes, all of which know the routes from their start."""
    with env_file.open("a") as file:
        file.write(f"AGENTHUB_WORKERS={WORKERS}\n")
    one.hang_up()
    code, said = reload(one)
    assert (code, said) == (0, {"number": 1, "state": "done", "message": ""})
    wait_until(lambda: len(web_pids(one)) == WORKERS, "the end of the one that left", seconds=120)
    return one


@contextmanager
def gate(gated: Route, standin: StandIn, name: str) -> Iterator[int]:
    """Let the answers of the gated route go to their first chunk; how many there have been before.

    The gate is wide open at the end, so that a test that fails leaves nobody waiting.
    """
    gated.script("slow", Script(gate=name))
    standin.open_gate(name, 2)
    try:
        yield len(gated.seen("slow"))
    finally:
        standin.open_gate(name)


@contextmanager
def stopping(stop: threading.Event) -> Iterator[threading.Event]:
    """Set it at the end, however that comes."""
    try:
        yield stop
    finally:
        stop.set()


class Caller:
    """A client that keeps its connection as long as it may, and never tries a request a second time."""

    def __init__(self, hub: Hub, key: str, body: dict[str, Any]) -> None:
        self.served = 0
        self.closed = 0  # answers that said Connection: close
        self.lost: list[str] = []
        self._connection = http.client.HTTPConnection(hub.base_url.removeprefix("http://"), timeout=60)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._body = json.dumps(body)

    def call(self) -> None:
        """One request; what goes wrong is noted."""
        try:
            self._connection.request("POST", CHAT, self._body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.lost.append(repr(problem))
            self._connection.close()
            return
        if answer.status != 200:
            self.lost.append(f"status {answer.status}")
        self.served += 1
        self.closed += answer.headers.get("connection") == "close"

    def call_until(self, stop: threading.Event, pause_seconds: float) -> None:
        """One after the other, and two more after the stop: on the connection that stands then, and on another."""
        while not stop.wait(pause_seconds):
            self.call()
        self.call()
        self.call()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def web_pids(hub: Hub) -> set[int]:
    """The web processes of a hub."""
    found = set()
    for pid in hub.pids()[1:]:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if words[-2:] == [b"web", b""]:
            found.add(pid)
    return found


def reload(hub: Hub) -> tuple[int, dict[str, Any]]:
    """`agenthub reload`: the exit code and what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "agenthub", "reload", "--json"],
        env={**os.environ, "AGENTHUB_DATA_DIR": str(hub.data_dir)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return ended.returncode, json.loads(ended.stdout)


def metric(hub: Hub, name: str) -> float:
    """A figure of the whole hub."""
    port = hub.environ["AGENTHUB_METRICS_PORT"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_a_rolling_restart_of_four_loses_no_request_and_cuts_no_stream(
    hub: Hub, standin: StandIn, key: str, route: Route, gated: Route
) -> None:
    before = web_pids(hub)
    callers = [Caller(hub, key, route.chat()) for _ in range(CLIENTS)]
    idle = [Caller(hub, key, route.chat()) for _ in range(CLIENTS)]
    with (
        httpx.Client(base_url=hub.base_url, timeout=300, trust_env=False) as client,
        ThreadPoolExecutor(16) as pool,
        gate(gated, standin, "restart"),
        stopping(threading.Event()) as stop,
    ):
        client.headers["authorization"] = f"Bearer {key}"
        streams = [pool.submit(read_stream, client, gated.chat()) for _ in range(6)]
        gated.wait_seen("slow", lambda seen: seen.chunks_sent == 1, count=6)
        for caller in idle:
            caller.call()
        calling = [pool.submit(caller.call_until, stop, 0.05) for caller in callers]
        # Well within the time that the server keeps an idle connection.
        calling += [pool.submit(caller.call_until, stop, 15) for caller in idle]
        code, said = reload(hub)
        stop.set()
        for each in calling:
            each.result()
        after, still_there = web_pids(hub) - before, web_pids(hub) & before
        standin.open_gate("restart")
        ended = [each.result() for each in streams]
    for caller in (*callers, *idle):
        caller.close()
    assert (code, said["state"], len(after)) == (0, "done", WORKERS)
    assert still_there
    assert [caller.lost for caller in (*callers, *idle)] == [[]] * (2 * CLIENTS)
    assert all(caller.closed >= 1 for caller in (*callers, *idle))
    assert all(stream.done and not stream.broken for stream in ended)
    wait_until(lambda: web_pids(hub) == after, "the end of those that left", seconds=120)
    served = sum(caller.served for caller in (*callers, *idle))
    assert len(hub.records(route.model, count=served)) == served
    assert len(hub.records(gated.model, count=6)) == 6


def test_metrics_are_those_of_all_processes_and_forget_the_dead(
    hub: Hub, standin: StandIn, key: str, gated: Route
) -> None:
    counted = metric(hub, "agenthub_requests_total")
    with (
        httpx.Client(base_url=hub.base_url, timeout=90, trust_env=False) as client,
        ThreadPoolExecutor(8) as pool,
        gate(gated, standin, "metrics") as earlier,
    ):
        client.headers["authorization"] = f"Bearer {key}"
        streams = [pool.submit(read_stream, client, gated.chat()) for _ in range(8)]
        gated.wait_seen("slow", lambda seen: seen.chunks_sent or seen.finished, count=earlier + 8)
        wait_until(lambda: metric(hub, "agenthub_inflight") == 8, "all are under way")
        before = web_pids(hub)
        victim = max(before)
        assert list((hub.data_dir / "metrics").glob(f"gauge_live*_{victim}.db"))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(web_pids(hub) - before) == 1, "another one in its place")
        assert not list((hub.data_dir / "metrics").glob(f"gauge_live*_{victim}.db"))
        standin.open_gate("metrics")
        ended = [each.result() for each in streams]
    cut = sum(stream.broken for stream in ended)
    assert sum(stream.done for stream in ended) == 8 - cut
    wait_until(lambda: metric(hub, "agenthub_inflight") == 0, "nothing is under way")
    wait_until(lambda: metric(hub, "agenthub_requests_total") - counted == 8 - cut, "all are counted")
    records = hub.records(gated.model, count=earlier + 8)
    assert sum(record["error_type"] == "interrupted" for record in records) == cut


def test_what_the_file_of_variables_says_is_taken_over_by_a_reload(hub: Hub, env_file: Path) -> None:
    env_file.write_text("AGENTHUB_SHUTDOWN_GRACE_SECONDS=30\nAGENTHUB_WORKERS=2\nAGENTHUB_METRICS_HOST=127.0.0.2\n")
    code, said = reload(hub)
    assert (code, said["state"]) == (0, "done")
    assert said["message"].startswith("AGENTHUB_METRICS_HOST: a new value needs a restart")
    with hub.client() as client:
        answer = client.get(
            "/api/admin/config/shutdown_grace_seconds", headers={"authorization": f"Bearer {hub.token}"}
        )
    assert answer.json()["value"] == 30


def test_a_reload_that_can_not_be_leaves_everything_as_it_was(hub: Hub, env_file: Path, key: str) -> None:
    wait_until(lambda: len(web_pids(hub)) == 2, "the end of those that left", seconds=120)
    before, good = web_pids(hub), env_file.read_text()
    env_file.write_text("AGENTHUB_QUEUE_MAX_DEPTH=nonsense\n")
    code, said = reload(hub)
    env_file.write_text(good)
    assert (code, said["state"]) == (1, "failed")
    assert "AGENTHUB_QUEUE_MAX_DEPTH" in said["message"]
    assert web_pids(hub) == before
    with hub.client(key) as client:
        assert client.get("/v1/models").status_code == 200


def test_a_stop_in_the_middle_of_a_reload_loses_nothing_that_has_begun(
    hub: Hub, standin: StandIn, key: str, gated: Route
) -> None:
    with (
        httpx.Client(base_url=hub.base_url, timeout=90, trust_env=False) as client,
        ThreadPoolExecutor(8) as pool,
        gate(gated, standin, "stop") as earlier,
    ):
        client.headers["authorization"] = f"Bearer {key}"
        streams = [pool.submit(read_stream, client, gated.chat()) for _ in range(4)]
        whole = [pool.submit(client.post, CHAT, json=gated.chat()) for _ in range(4)]
        gated.wait_seen("slow", lambda _: True, count=earlier + 8)
        before = web_pids(hub)
        hub.signal(signal.SIGHUP)
        wait_until(lambda: web_pids(hub) - before, "a new process", seconds=120)
        hub.signal(signal.SIGTERM)
        standin.open_gate("stop")
        assert all(each.result().done for each in streams)
        assert {each.result().status_code for each in whole} == {200}
    assert hub.wait() == 0
    hub.start()
    assert len(hub.records(gated.model, count=earlier + 8)) == earlier + 8


def test_a_reload_without_a_hub_says_so(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "agenthub", "reload"],
        env={**os.environ, "AGENTHUB_DATA_DIR": str(tmp_path)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (1, f"Not reloaded. No hub runs on {tmp_path}.\n")
