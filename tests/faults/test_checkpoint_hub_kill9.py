"""`kill -9` of a whole hub while agents save: every save that was acknowledged is there, and the latest is whole."""

import os
import random
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.hub import Hub, wait_until

KILLS = int(os.environ.get("TORTURE_HUB_KILLS", "10")) // 10
AGENTS = ("a", "a_b", "a%2Fb")
DISTRIBUTED = {
    "AGENTHUB_ENCRYPTION_KEY": "0123456789abcdef" * 4,
    "AGENTHUB_SECRET_KEY": "0123456789abcdefghij",
}


@pytest.fixture(params=["embedded", "distributed"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Hub:
    """A hub of each mode, not yet started."""
    environ = {"AGENTHUB_CHECKPOINT_FILES": "true"}
    if request.param == "distributed":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), **DISTRIBUTED}
    return Hub(tmp_path, environ=environ)


def save_until_it_dies(hub: Hub, agent: str, saved: list[tuple[str, int]]) -> None:
    headers = {"authorization": f"Bearer {hub.token}"}
    with httpx.Client(base_url=f"{hub.base_url}/api/admin", headers=headers, timeout=30, trust_env=False) as client:
        while True:
            n = len(saved)
            body = {"state": {"iteration": n, "text": f"{n}," * 3_000}, "kind": "manual"}
            try:
                answer = client.post(f"/agents/{agent}/checkpoints", json=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 201, answer.text
            saved.append((answer.json()["id"], n))


@pytest.mark.timeout(120 + 30 * KILLS)
def test_every_acknowledged_checkpoint_survives(hub: Hub) -> None:
    chance = random.Random()
    saved: dict[str, list[tuple[str, int]]] = {agent: [] for agent in AGENTS}
    with hub:
        for number in range(1, KILLS + 1):
            threads = [threading.Thread(target=save_until_it_dies, args=(hub, *each)) for each in saved.items()]
            for thread in threads:
                thread.start()
            wait_until(lambda wanted=5 * number: all(len(ids) >= wanted for ids in saved.values()), "saves")  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.1))  # no event to await: the kill is to come at any instant
            hub.kill9()
            for thread in threads:
                thread.join()
            hub.start()
        for agent, ids in saved.items():
            assert_kept(hub, agent, ids)
        assert hub.rows("heartbeat_alert", rule="checkpoint_corrupt") == []


def assert_kept(hub: Hub, agent: str, ids: list[tuple[str, int]]) -> None:
    rows = hub.management.request("GET", f"/agents/{agent}/checkpoints", limit=10_000)
    assert {checkpoint_id for checkpoint_id, _ in ids} <= {row["id"] for row in rows}
    assert sorted(row["sequence"] for row in rows) == list(range(1, len(rows) + 1))
    latest = hub.management.request("GET", f"/agents/{agent}/checkpoints/latest")
    assert latest["corrupt_skipped"] == []
    assert latest["sequence"] == len(rows)
    for checkpoint_id, n in ids[-20:]:
        found = hub.management.request("GET", f"/checkpoints/{checkpoint_id}")
        assert found["state"] == {"iteration": n, "text": f"{n}," * 3_000}
