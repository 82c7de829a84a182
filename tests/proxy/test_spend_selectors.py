from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError

from agenthub.core.timezones import time_zone
from providers.services.usage import usage_record_batch
from proxy import flusher as flusher_module
from proxy.flusher import Flusher
from proxy.journal import SEGMENT_SUFFIX, Journal
from proxy.rules.caller import Budget, Caller, Period
from proxy.rules.frames import frame
from proxy.spend_selectors import spent_picousd
from tests.proxy.entries import NOON_US, ended

pytestmark = pytest.mark.django_db

MIB = 1024 * 1024
HOUR_US = 3_600_000_000
NOON = datetime.fromtimestamp(NOON_US / 1e6, UTC)
KEY = "key_0123456789ab"


def spent(folder: Path, period: Period = Period.MONTH, *, now: datetime = NOON, zone: str = "UTC") -> dict[str, int]:
    caller = Caller(id=KEY, name="ann", budget=Budget(10**12, period))
    return spent_picousd({b"a": caller}, now=now, time_zone=time_zone(zone), folder=folder)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, max_bytes=64 * MIB)
    yield journal
    journal.close()


@pytest.fixture
def flusher(tmp_path: Path) -> Iterator[Flusher]:
    flusher = Flusher(tmp_path)
    yield flusher
    flusher.close()


def test_a_key_without_a_budget_is_not_looked_for(tmp_path: Path, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert spent_picousd({b"a": Caller(id="k", name="k")}, now=NOON, time_zone=UTC, folder=tmp_path) == {}


def test_a_key_that_has_spent_nothing_has_spent_nothing(tmp_path: Path) -> None:
    assert spent(tmp_path / "no such folder") == {KEY: 0}


def test_the_journal_counts_like_the_database(journal: Journal, flusher: Flusher, tmp_path: Path) -> None:
    journal.end(ended(cost_picousd=5))
    journal.end(ended(cost_picousd=None))
    journal.end(ended(cost_picousd=7, client_key_id="key_other"))
    journal.end(ended(cost_picousd=11, status=502, error_type="stream_broken"))
    assert spent(tmp_path) == {KEY: 16}
    flusher.flush()
    assert spent(tmp_path) == {KEY: 16}
    journal.end(ended(cost_picousd=100))
    assert spent(tmp_path) == {KEY: 116}


@pytest.mark.parametrize("flushed", [False, True])
def test_what_began_before_the_period_belongs_to_another(
    journal: Journal, flusher: Flusher, tmp_path: Path, flushed: bool
) -> None:
    for hours_ago, cost in ((0, 1), (12, 10), (13, 100), (24 * 25, 1_000)):
        journal.end(ended(started_at_us=NOON_US - hours_ago * HOUR_US, cost_picousd=cost))
    if flushed:
        flusher.flush()
    assert spent(tmp_path, Period.DAY) == {KEY: 11}
    assert spent(tmp_path, Period.DAY, zone="Europe/Berlin") == {KEY: 111}
    assert spent(tmp_path, Period.MONTH) == {KEY: 111}
    assert spent(tmp_path, Period.TOTAL) == {KEY: 1_111}
    assert spent(tmp_path, Period.DAY, now=NOON + timedelta(days=1)) == {KEY: 0}


def test_many_entries_behind_the_position_are_all_counted(journal: Journal, flusher: Flusher, tmp_path: Path) -> None:
    journal.end(ended(cost_picousd=1))
    flusher.flush()
    for _ in range(2_000):
        journal.end(ended(cost_picousd=1))
    assert spent(tmp_path) == {KEY: 2_001}


def test_a_finished_segment_that_is_still_there_counts_once(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.end(ended(cost_picousd=3))
    journal.close()
    (path,) = tmp_path.glob(f"*{SEGMENT_SUFFIX}")
    left = path.read_bytes()
    flusher.flush()
    path.write_bytes(left + frame(ended(cost_picousd=9)))  # a flusher was killed before it could delete it
    assert spent(tmp_path) == {KEY: 3}


def test_a_torn_end_and_a_segment_of_another_version_do_no_harm(journal: Journal, tmp_path: Path) -> None:
    journal.end(ended(cost_picousd=3))
    with (tmp_path / (journal.segment_id + SEGMENT_SUFFIX)).open("ab") as file:
        file.write(frame(ended(cost_picousd=9))[:-4])
    (tmp_path / ("0" * 32 + SEGMENT_SUFFIX)).write_bytes(b"AgentHub journal 9\n" + frame(ended(cost_picousd=9)))
    assert spent(tmp_path) == {KEY: 3}


def test_the_written_half_of_a_batch_counts_once(
    journal: Journal, flusher: Flusher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        journal.end(ended(str(number), cost_picousd=10))
    seen: list[dict[str, int]] = []

    def refuse_the_third(**batch: Any) -> int:
        if any(row.id == "2" for row in batch["rows"]):
            seen.append(spent(tmp_path))
            raise DataError("out of range")
        return usage_record_batch(**batch)

    monkeypatch.setattr(flusher_module, "usage_record_batch", refuse_the_third)
    flusher.flush()
    assert seen == [{KEY: 40}] * 3
    assert spent(tmp_path) == {KEY: 30}
