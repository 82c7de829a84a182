"""`kill -9` of writers of checkpoints at random instants, some hundreds of times. `make torture` does more."""

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agenthub.core.settings_store import setting_set
from tests.faults.checkpoint_forks import (
    assert_files_alone_are_whole,
    assert_nothing_torn_lost_or_resurrected,
    file_for_ever,
    kill_at_random,
    restore_for_ever,
    save_for_ever,
)
from tests.management import with_environment

KILLS = int(os.environ.get("TORTURE_CHECKPOINT_KILLS", "100"))


@pytest.fixture
def seed() -> int:
    chosen = random.randrange(2**32)
    print("seed", chosen)
    return chosen


@pytest.fixture
def with_files(shared_database: str, tmp_path: Path) -> Iterator[None]:
    with with_environment(data_dir=tmp_path):
        setting_set(key="checkpoint_files", value=True)
        yield


@pytest.mark.usefixtures("with_files")
@pytest.mark.timeout(max(120, KILLS))
def test_killed_writers_tear_lose_and_resurrect_nothing(tmp_path: Path, seed: int) -> None:
    notes = tmp_path / "notes"
    save, restore = partial(save_for_ever, notes), partial(restore_for_ever, notes)
    kill_at_random([save, save, restore], kills=KILLS, seed=seed)
    saved, restored = assert_nothing_torn_lost_or_resurrected(notes)
    print(f"{KILLS} kills: {saved} saves and {restored} restores were acknowledged")
    assert saved > KILLS / 10
    assert restored > 0


@pytest.mark.timeout(max(120, KILLS))
def test_killed_writers_of_files_alone_tear_lose_and_resurrect_nothing(tmp_path: Path, seed: int) -> None:
    folder, notes = tmp_path / "checkpoints", tmp_path / "notes"
    kill_at_random([partial(file_for_ever, folder, notes)] * 3, kills=KILLS, seed=seed)
    saved = assert_files_alone_are_whole(folder, notes)
    print(f"{KILLS} kills: {saved} saves were acknowledged")
    assert saved > KILLS / 10
