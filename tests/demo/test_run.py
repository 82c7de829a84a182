"""`agenthub demo` as people run it, in a folder and on a port of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agenthub.core.secrets import stored_secrets
from agenthub.demo.management import Management
from agenthub.demo.run import demo_environ
from tests.hub import REPOSITORY, wait_until
from tests.servers import free_port
from tests.settings import OURS

KEY = re.compile(r"client key (ah-\S+)")


def test_it_has_a_folder_of_its_own_and_no_outside_database() -> None:
    environ = demo_environ({"AGENTHUB_DATA_DIR": "somewhere", "DATABASE_URL": "x", "REDIS_URL": "y", "PATH": "z"})
    assert environ == {"AGENTHUB_DATA_DIR": str(Path("somewhere", "demo")), "PATH": "z"}
    assert demo_environ({})["AGENTHUB_DATA_DIR"] == str(Path("data", "demo"))


class Demo:
    """A running demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "demo.log"
        environ = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "DJANGO_"))}
        environ |= {"AGENTHUB_DATA_DIR": str(folder), "AGENTHUB_PORT": str(self.port), "AGENTHUB_METRICS_PORT": "0"}
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "agenthub", "demo"]
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=REPOSITORY)

    def key(self) -> str | None:
        """The client key that it has shown, if it has."""
        assert self.process.poll() is None, self.log.read_text()
        found = KEY.search(self.log.read_text().partition("The demo is running")[2])
        return found.group(1) if found else None


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo that ends with the test."""
    running = Demo(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60)


def _it_goes_on_from_its_checkpoint(management: Management) -> None:
    """The agent has been killed, and has counted on from what it had kept."""

    counter = management.agent("demo-counter")["id"]

    def kept_by_it() -> Any:
        return management.request("GET", "/checkpoints", agent_id=counter, limit=100)

    def killed_since() -> Any:
        kept = kept_by_it()
        newest = management.request("GET", f"/checkpoints/{kept[0]['id']}") if kept else None
        return newest if newest and newest["state"]["starts"] >= 2 else None

    newest = wait_until(killed_since, "The agent was killed and goes on", seconds=120)
    assert newest["agent_name"] == "Counter"
    assert newest["iteration"] > newest["state"]["starts"] * 5
    before = [each["iteration"] for each in kept_by_it()]
    assert before == sorted(before, reverse=True)  # it never counts anew


@pytest.mark.timeout(300)
def test_it_shows_live_traffic_over_three_backends_and_ctrl_c_stops_all(demo: Demo) -> None:
    key = wait_until(demo.key, "The demo runs", seconds=60)
    base_url = f"http://127.0.0.1:{demo.port}"
    secrets = stored_secrets(demo.folder / "demo", ["AGENTHUB_ADMIN_TOKEN"])
    management = Management(base_url, token=secrets["AGENTHUB_ADMIN_TOKEN"])
    backends = management.request("GET", "/backends")
    assert {backend["name"]: backend["pool"] for backend in backends} == {
        "demo-limited": "primary",
        "demo-slow": "primary",
        "demo-healthy": "fallback",
    }
    wait_until(lambda: management.request("GET", "/stats/total")["total_requests"] >= 3, "There is traffic", seconds=60)
    wait_until(lambda: management.request("GET", "/stats/cooldown"), "The limited backend cools", seconds=60)
    assert management.request("GET", "/stats/total")["total_errors"] == 0
    told = wait_until(lambda: management.reports("storage-custodian"), "The custodian reports", seconds=60)
    first = "Storage-Custodian initialized. Monitoring hive_storage. 1 files detected."
    assert (told[-1]["level"], told[-1]["content"]) == ("SUCCESS", first)
    _it_goes_on_from_its_checkpoint(management)
    management.close()
    with httpx.Client(base_url=base_url, headers={"x-api-key": key}, trust_env=False) as client:
        assert client.get("/v1/models").json()["data"]

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base_url}/health", trust_env=False)
