"""The Python client, against the real API."""

from collections.abc import Iterator

import pytest

from agenthub.client.checkpoints import Checkpoints
from agenthub.client.http import HubAway, HubRefused
from storagecustodian.services.restoring import checkpoint_restore
from tests.servers import free_port
from tests.storagecustodian.directory import Directory
from tests.storagecustodian.factories import state
from tests.storagecustodian.serving import served


@pytest.fixture
def address(on_sqlite_file: None) -> Iterator[str]:
    with served() as url:
        yield url


@pytest.fixture
def checkpoints(address: str, directory: Directory) -> Iterator[Checkpoints]:
    with Checkpoints(address, directory.add("7")) as made:
        yield made


def test_it_saves_and_loads(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None
    first = checkpoints.save(state(1), label="good", note="n")
    second = checkpoints.save(state(2), task_id="other")
    assert checkpoints.load(first["id"])["state"] == state(1)
    assert [one["id"] for one in checkpoints.list()] == [second["id"], first["id"]]
    found = checkpoints.latest(task_id="t_1")
    assert found is not None
    assert found["id"] == first["id"]
    assert checkpoints.update(first["id"], pinned=True)["pinned"]
    assert checkpoints.diff(first["id"], second["id"])["changes"][0]["path"] == "iteration"
    checkpoints.delete(first["id"])
    with pytest.raises(HubRefused) as refused:
        checkpoints.load(first["id"])
    assert (refused.value.status, refused.value.code) == (404, "checkpoint_not_found")


def test_automatic_ones_are_counted_across_restarts_of_the_agent(address: str, directory: Directory) -> None:
    token, made = directory.add("7"), []
    for part in (range(1, 4), range(4, 8), range(8, 12)):
        with Checkpoints(address, token) as checkpoints:
            made += [n for n in part if checkpoints.auto(state(n))]
    assert made == [5, 10]


def test_after_somebody_has_restored_it_loads_before_it_saves(checkpoints: Checkpoints) -> None:
    first = checkpoints.save(state(1))
    checkpoints.save(state(8))
    checkpoint_restore(checkpoint_id=first["id"], by="ann")
    for late in (checkpoints.save, checkpoints.auto):
        with pytest.raises(HubRefused) as refused:
            late(state(20))
        assert refused.value.code == "stale_epoch"
    found = checkpoints.latest()
    assert found is not None
    assert found["state"]["iteration"] == 1
    assert checkpoints.save(state(2))["epoch"] == 1
    assert [n for n in range(2, 9) if checkpoints.auto(state(n))] == [6]


def test_it_goes_back_by_itself_and_writes_on(checkpoints: Checkpoints) -> None:
    for n in (1, 2, 3):
        checkpoints.save(state(n))
    assert checkpoints.rollback(2)["epoch"] == 1
    checkpoints.save(state(2))
    first = checkpoints.list()[-1]
    assert checkpoints.restore(first["id"])["epoch"] == 2
    assert checkpoints.save(state(2))["epoch"] == 2


def test_a_wrong_token_and_a_hub_that_is_away_are_told_apart(address: str) -> None:
    with Checkpoints(address, "wrong") as stranger, pytest.raises(HubRefused) as refused:
        stranger.save(state())
    assert refused.value.status == 401
    with Checkpoints(f"http://127.0.0.1:{free_port()}", "x") as lost, pytest.raises(HubAway):
        lost.save(state())
