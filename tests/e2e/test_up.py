"""`agenthub up`, looked at from outside: what refuses the start, and how a hub lives and ends."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.hub import REPOSITORY, Hub, wait_until
from tests.servers import free_port
from tests.settings import OURS

pytestmark = pytest.mark.timeout(180)

KEYS = {"AGENTHUB_ENCRYPTION_KEY": "0123456789abcdef" * 4, "AGENTHUB_SECRET_KEY": "a secret of many nodes, " * 3}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for the tests that leave it as it was."""
    with Hub(tmp_path_factory.mktemp("hub")) as started:
        yield started


def refused(folder: Path, **environ: str) -> tuple[int, str]:
    """The exit code and the message of a start that must not come to anything."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))}
    settings = {
        "AGENTHUB_DATA_DIR": str(folder / "data"),
        "AGENTHUB_PORT": "0",
        "AGENTHUB_METRICS_PORT": "0",
        **environ,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "agenthub", "up"],
        env=inherited | settings,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stdout + ended.stderr


def processes(hub: Hub) -> dict[str, int]:
    """The children of a hub: what each runs, and its number."""
    parent = hub._process
    assert parent is not None
    lines = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent.pid)], capture_output=True, text=True).stdout
    return {line.split()[-1]: int(line.split()[0]) for line in lines.splitlines()}


def complete(hub: Hub) -> dict[str, int]:
    """The children, once all of them run."""

    def found() -> dict[str, int] | None:
        names = processes(hub)
        return names if {"web", "flusher", "worker"} <= names.keys() else None

    children: dict[str, int] = wait_until(found, "web, flusher and worker")
    return children


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"AGENTHUB_ENCRYPTION_KEY": "nonsense"}, "AGENTHUB_ENCRYPTION_KEY must be 64 hex characters"),
        ({"AGENTHUB_PORT": "http"}, "AGENTHUB_PORT must be a whole number"),
        ({"AGENTHUB_QUEUE_MAX_DEPTH": "x"}, "AGENTHUB_QUEUE_MAX_DEPTH"),
        (
            {"DATABASE_URL": "postgresql://nobody@127.0.0.1/x"},
            "AGENTHUB_ENCRYPTION_KEY and AGENTHUB_SECRET_KEY must be",
        ),
        ({"AGENTHUB_PROXY_AUTH": "open", "AGENTHUB_HOST": "0.0.0.0"}, "AGENTHUB_PROXY_AUTH=open"),
    ],
)
def test_a_bad_environment_stops_the_start_with_one_line(
    tmp_path: Path, environ: dict[str, str], expected: str
) -> None:
    status, said = refused(tmp_path, **environ)
    assert status == 2
    assert said.startswith("agenthub: ")
    assert expected in said
    assert said.count("\n") == 1


def test_a_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, said = refused(tmp_path, AGENTHUB_PORT=str(port))
    assert (status, said.count("\n")) == (1, 1)
    assert f"Port {port} of 127.0.0.1 is taken" in said


def test_a_metrics_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, said = refused(tmp_path, AGENTHUB_METRICS_PORT=str(other.getsockname()[1]))
    assert (status, said.count("\n")) == (1, 1)
    assert "AGENTHUB_METRICS_PORT" in said


def test_a_second_hub_on_the_same_data_folder_is_refused(hub: Hub) -> None:
    status, said = refused(hub.folder)
    assert (status, said.count("\n")) == (1, 1)
    assert "Another hub (process " in said
    assert hub.running


def test_the_first_start_shows_its_credentials_once(tmp_path: Path) -> None:
    with Hub(tmp_path, environ={"AGENTHUB_ADMIN_USER": "boss", "AGENTHUB_ADMIN_PASSWORD": ""}) as hub:
        first = hub.log()
        assert "Admin user      boss" in first
        password = first.partition("Admin password  ")[2].split()[0]
        key = first.partition("Client key      ")[2].split()[0]
        with hub.client(key) as client:
            assert client.get("/v1/models").status_code == 200
        with closing(httpx.Client(base_url=hub.base_url, trust_env=False)) as browser:
            page = browser.get("/admin/login/")
            form = {"username": "boss", "password": password, "csrfmiddlewaretoken": page.cookies["csrftoken"]}
            assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
    with Hub(tmp_path, environ={"AGENTHUB_ADMIN_PASSWORD": ""}) as again:
        second = again.log()
        assert "Client key" not in second
        assert "Admin password" not in second
        with again.client(key) as client:
            assert client.get("/v1/models").status_code == 200


def test_nothing_in_the_data_folder_is_for_others(hub: Hub) -> None:
    complete(hub)
    wait_until(lambda: list(hub.data_dir.glob("queue/control/*")), "the queue")
    paths = [hub.data_dir, *hub.data_dir.rglob("*")]
    assert [str(path) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_health_and_readiness(hub: Hub) -> None:
    with hub.client() as client:
        health = client.get("/health").json()
        ready = client.get("/ready")
    assert (health["status"], health["version"]) == ("ok", "0.1.0")
    assert health["uptime_seconds"] >= 0
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")


def test_the_jobs_of_the_schedule_run(hub: Hub) -> None:
    """A message that beat has sent was taken, so beat, the queue and the worker work together."""
    complete(hub)
    taken = hub.data_dir / "queue" / "taken"
    messages = hub.data_dir / "queue" / "messages"
    wait_until(messages.exists, "the folder of the messages")
    seen = messages.stat().st_mtime_ns
    wait_until(lambda: messages.stat().st_mtime_ns != seen, "a message", seconds=30)
    wait_until(lambda: not list(messages.glob("*.msg")) and not list(taken.iterdir()), "an empty queue")
    assert "Traceback" not in hub.log()


@pytest.mark.parametrize("name", ["web", "flusher", "worker"])
def test_a_child_that_is_killed_is_started_again(hub: Hub, name: str) -> None:
    before = complete(hub)[name]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: processes(hub).get(name, before) != before, f"another {name}")
    wait_until(lambda: ready(hub), "a hub that is ready again")


def test_a_signal_stops_the_hub_and_everything_it_started(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        children = complete(hub)
        hub.signal(signal.SIGTERM)
        assert hub.wait() == 0
        assert "Traceback" not in hub.log()
        assert not any(alive(pid) for pid in children.values())


def test_a_killed_parent_leaves_nothing_behind_and_starts_again_at_once_on_its_port(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        children = complete(hub)
        hub.signal(signal.SIGKILL)
        hub.wait()
        hub.start()
        assert ready(hub)
        wait_until(lambda: not any(alive(pid) for pid in children.values()), "the end of the children")


def ready(hub: Hub) -> bool:
    """Whether the hub says that it is ready."""
    try:
        return httpx.get(f"{hub.base_url}/ready", trust_env=False, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_web_process_that_can_not_start_ends_the_hub(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "journal").touch()
    status, said = refused(tmp_path)
    assert status == 1
    assert "web_failed_to_start" in said


def test_metrics_of_all_processes_on_a_port_of_their_own(tmp_path: Path) -> None:
    port = free_port()
    with Hub(tmp_path, environ={"AGENTHUB_METRICS_PORT": str(port), "AGENTHUB_WORKERS": "2"}) as hub:
        with hub.client() as client:
            client.get("/health")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert "django_http_requests_total_by_method_total" in text
        assert "agenthub_inflight" in text
        with hub.client() as client:
            assert client.get("/metrics").status_code == 401
            behind = client.get("/metrics", headers={"authorization": f"Bearer {hub.token}"})
        assert behind.status_code == 200
        assert "agenthub_inflight" in behind.text


def test_many_nodes_share_postgresql_and_redis(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    environ = {**KEYS, "DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "AGENTHUB_WORKERS": "2"}
    with Hub(tmp_path / "a", environ=environ) as one, Hub(tmp_path / "b", environ=environ) as other:
        assert "This is the first start" in one.log()
        assert "This is the first start" not in other.log()
        assert not (other.data_dir / "secrets.env").exists()
        key = one.log().partition("Client key      ")[2].split()[0]
        for hub in (one, other):
            with hub.client(key) as client:
                assert client.get("/v1/models").status_code == 200
                # Each process joins the shared state within a moment of its start.
                assert wait_until(partial(well, client), "All parts are well") == {
                    "status": "ok",
                    "routing": "ok",
                    "journal": "ok",
                    "database": "ok",
                    "redis": "ok",
                    "shared_state": "ok",
                }


def well(client: httpx.Client) -> dict[str, str] | None:
    """The parts of a hub, once all are well."""
    answer = client.get("/ready")
    parts: dict[str, str] = answer.json()
    return parts if answer.status_code == 200 else None


def test_a_database_that_is_away_ends_the_hub_and_names_the_step(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing?connect_timeout=1"
    status, said = refused(tmp_path, DATABASE_URL=url, **KEYS)
    assert status == 1
    assert "prepare_failed" in said
    assert "web_failed_to_start" not in said
