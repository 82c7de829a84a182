"""`kill -9` of journal writers and flushers at random instants, some hundreds of times. `make torture` does more."""

import os
import random
from pathlib import Path

import pytest

from tests.faults.forks import assert_nothing_lost_nothing_double, drain, kill_at_random

KILLS = int(os.environ.get("TORTURE_KILLS", "100"))


@pytest.mark.usefixtures("shared_database")
@pytest.mark.timeout(max(120, KILLS))
def test_killed_writers_and_flushers_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    folder, notes = tmp_path / "journal", tmp_path / "notes"
    folder.mkdir()

    kill_at_random(folder, notes, kills=KILLS, seed=seed)
    drain(folder)

    assert assert_nothing_lost_nothing_double(folder, notes) > KILLS
