"""Jobs of whole hubs, in both modes: made by the API, run by real workers, and still there when those are killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from redis import Redis

from agenthub.core.environment import read_environment
from tests.hub import Hub, wait_until
from tests.servers import database_url

pytestmark = pytest.mark.timeout(300)


def distributed(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables of hubs that share a database and a Redis."""
    server: str = request.getfixturevalue("postgres_server")
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return {
        "DATABASE_URL": database_url(server, name),
        "REDIS_URL": request.getfixturevalue("redis_url"),
        "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
        "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
    }


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    return distributed(request) if request.param == "distributed" else {}


@pytest.fixture(scope="module")
def hub(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("jobs"), environ=environ) as running:
        yield running


def make(hub: Hub, **values: Any) -> Any:
    return hub.management.request("POST", "/jobs", {"key": f"job-{uuid4().hex[:8]}", **values})


def runs(hub: Hub, key: str, **query: Any) -> list[Any]:
    found: list[Any] = hub.management.request("GET", f"/jobs/{key}/runs", **query)
    return found


def ended(hub: Hub, key: str, state: str, *, count: int = 1) -> list[Any]:
    """The runs of a job that have ended so, once there are as many."""
    found: list[Any] = wait_until(
        lambda: len(listed := runs(hub, key, state=state)) >= count and listed, f"{count} runs {state}", seconds=60
    )
    return found


def test_a_command_runs_by_its_schedule_and_leaves_its_output(hub: Hub, tmp_path: Path) -> None:
    command = {"command": ["/bin/sh", "-c", f"date >> {tmp_path}/ran; echo done"]}
    job = make(hub, kind="command", every_seconds=1, parameters=command)
    found = ended(hub, job["key"], "ok", count=3)
    assert {run["output"] for run in found} == {"done\n"}
    assert len({run["scheduled_for"] for run in found}) == len(found)
    hub.management.request("PATCH", f"/jobs/{job['key']}", {"enabled": False})
    wait_until(lambda: not runs(hub, job["key"], state="running"), "the last run ends")
    assert len((tmp_path / "ran").read_text().splitlines()) == len(runs(hub, job["key"], state="ok"))


def test_a_failing_job_is_an_alert_and_the_built_in_jobs_go_on(hub: Hub) -> None:
    job = make(hub, kind="command", parameters={"command": ["/bin/false"]}, every_seconds=3600)
    hub.management.request("POST", f"/jobs/{job['key']}/run")
    [run] = ended(hub, job["key"], "failed")
    assert run["error"] == "It ended with status 1."

    def told() -> Any:
        alerts = hub.management.request("GET", "/alerts", state="firing")
        return [alert for alert in alerts if alert["source"] == f"job:{job['key']}"]

    assert wait_until(told, "the alert")[0]["rule"] == "job_failed"
    before = len(runs(hub, "cooldowns_expire", state="ok"))
    ended(hub, "cooldowns_expire", "ok", count=before + 1)


def test_an_outside_job_checks_in_with_a_plain_client(hub: Hub) -> None:
    job = make(hub, kind="check_in", every_seconds=3600)
    with httpx.Client(base_url=hub.base_url, trust_env=False) as client:
        assert client.get(f"{job['ping_url']}/start").text == "OK\n"
        assert client.post(f"{job['ping_url']}/0", content=b"all well").status_code == 200
        assert client.post(f"{job['ping_url']}/7").status_code == 200
        assert client.get(f"/ping/{uuid4()}").status_code == 404
        # A stranger can't fill the disk.
        assert client.post(job["ping_url"], content=b"x" * 70_000).status_code == 413
    assert [(run["state"], run["output"]) for run in runs(hub, job["key"])] == [("failed", ""), ("ok", "all well")]


def test_a_run_whose_worker_is_killed_is_done_by_the_next(hub: Hub, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    script = f"echo $$ >> {begun}; [ $(wc -l < {begun}) -gt 1 ] || sleep 600"
    job = make(hub, kind="command", parameters={"command": ["/bin/sh", "-c", script]}, every_seconds=3600, retries=1)
    hub.management.request("POST", f"/jobs/{job['key']}/run")
    wait_until(begun.exists, "the run has begun", seconds=60)
    os.kill(hub.pid("worker"), signal.SIGKILL)
    os.kill(int(begun.read_text().split()[0]), signal.SIGKILL)  # what it had started is nobody's any more
    [run] = ended(hub, job["key"], "ok")
    assert run["attempt"] == 2
    assert len(begun.read_text().splitlines()) == 2


def test_of_two_hubs_one_is_killed_and_the_other_goes_on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    environ = distributed(request)
    first = Hub(tmp_path_factory.mktemp("first"), environ=environ)
    with Hub(tmp_path_factory.mktemp("second"), environ=environ) as second:
        first.start()
        try:
            command = {"command": ["/bin/sh", "-c", f"echo ran >> {tmp_path}/ran"]}
            job = make(second, kind="command", every_seconds=1, parameters=command, misfire="all")
            ended(second, job["key"], "ok", count=2)
        finally:
            first.kill9()
        # Both took the messages from a queue of their database, which no other hub of this Redis reads.
        name = read_environment({**environ, "AGENTHUB_DATA_DIR": str(tmp_path)}).name_on_redis
        with Redis.from_url(environ["REDIS_URL"]) as redis:
            assert redis.exists(f"_kombu.binding.{name}-jobs")
        before = len(runs(second, job["key"], state="ok"))
        ended(second, job["key"], "ok", count=before + 3)
        second.management.request("PATCH", f"/jobs/{job['key']}", {"enabled": False})
        wait_until(lambda: not runs(second, job["key"], state="running"), "no run is left", seconds=60)
        found = runs(second, job["key"])
        assert len({run["scheduled_for"] for run in found}) == len(found)
        done = [run for run in found if run["state"] in ("ok", "failed")]
        assert len((tmp_path / "ran").read_text().splitlines()) <= len(done)
