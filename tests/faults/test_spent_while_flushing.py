"""What keys have spent is exact at every moment: while flushers move it into the database, and after a kill."""

import os
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection, connections

from proxy.flusher import Flusher
from proxy.journal import Journal
from proxy.rules.caller import Budget, Caller, Period
from proxy.spend_selectors import spent_picousd
from tests.faults.forks import MIB, drain, fork, kill
from tests.proxy.entries import NOON_US, begun, ended

NOW = datetime.fromtimestamp(NOON_US / 1e6 + 60, UTC)
KEYS = [f"key_{number:012x}" for number in range(3)]
CALLERS = {
    key.encode(): Caller(id=key, name=key, budget=Budget(10**12, period))
    for key, period in zip(KEYS, (Period.DAY, Period.MONTH, Period.TOTAL), strict=True)
}


def spent(folder: Path) -> dict[str, int]:
    return spent_picousd(CALLERS, now=NOW, time_zone=UTC, folder=folder)


@pytest.fixture
def flushing(shared_database: str, tmp_path: Path) -> Iterator[Path]:
    """Two flushers that never rest, on the folder of the answer."""
    folder = tmp_path / "journal"
    folder.mkdir()
    stop = threading.Event()

    def flush() -> None:
        flusher = Flusher(folder)
        while not stop.is_set():
            flusher._attempt()
        flusher.close()
        connection.close()

    threads = [threading.Thread(target=flush) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield folder
    stop.set()
    for thread in threads:
        thread.join()


def test_nothing_is_missed_and_nothing_counted_twice_while_it_is_moved(flushing: Path) -> None:
    chance = random.Random(7)
    expected = dict.fromkeys(KEYS, 0)
    for _ in range(6):
        # Small segments, so that they are finished and deleted all the time.
        journal = Journal(flushing, max_bytes=64 * MIB, segment_bytes=3_000)
        for _ in range(40):
            for _ in range(chance.randrange(1, 12)):
                key, cost = chance.choice(KEYS), chance.randrange(1, 10**9)
                entry = begun(client_key_id=key)
                journal.begin(entry)
                journal.end(ended(entry.id, client_key_id=key, cost_picousd=cost))
                expected[key] += cost
            assert spent(flushing) == expected
        journal.close()
    assert spent(flushing) == expected


@pytest.mark.usefixtures("shared_database")
def test_what_a_killed_process_has_written_counts_before_and_after_it_is_moved(tmp_path: Path) -> None:
    connections["default"].close()
    folder = tmp_path / "journal"
    folder.mkdir()
    reading, writing = os.pipe()

    def write() -> None:
        journal = Journal(folder, max_bytes=64 * MIB)
        journal.begin(begun("cut off", client_key_id=KEYS[0]))
        for number in range(1_500):
            journal.end(ended(f"a{number}", client_key_id=KEYS[0], cost_picousd=1_000 + number))
        os.write(writing, b"x")
        threading.Event().wait()

    child = fork(write)
    assert os.read(reading, 1) == b"x"
    alive = spent(folder)
    kill(child)
    os.close(reading)
    os.close(writing)

    assert alive[KEYS[0]] == sum(1_000 + number for number in range(1_500))
    assert spent(folder) == alive
    drain(folder)
    assert list(folder.iterdir()) == []
    assert spent(folder) == alive
