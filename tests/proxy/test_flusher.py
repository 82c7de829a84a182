import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DataError, OperationalError
from django.test import override_settings

from providers.models import DailyStats, HourlyUsage, JournalPosition, UsageRecord
from providers.services.usage import usage_record_batch
from proxy import flusher as flusher_module
from proxy.flusher import Flusher
from proxy.journal import SEGMENT_SUFFIX, Journal
from proxy.rules.frames import HEADER, frame
from tests.proxy.entries import begun, ended

pytestmark = pytest.mark.django_db

MIB = 1024 * 1024


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


def ids() -> set[str]:
    return set(UsageRecord.objects.values_list("id", flat=True))


def segment_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_record_of_a_live_journal_arrives_once(journal: Journal, flusher: Flusher) -> None:
    journal.begin(begun("a"))
    journal.end(ended("a"))

    assert [flusher.flush(), flusher.flush()] == [1, 0]
    assert ids() == {"a"}


def test_a_request_under_way_is_no_record_yet(journal: Journal, flusher: Flusher) -> None:
    journal.begin(begun("a"))
    assert flusher.flush() == 0

    journal.end(ended("a"))
    assert flusher.flush() == 1


def test_every_field_arrives(journal: Journal, flusher: Flusher) -> None:
    journal.end(ended("a", stream=True, cost_picousd=123, reasoning_tokens=4, emergency=True))
    flusher.flush()

    record = UsageRecord.objects.get()
    assert (record.model, record.native_id, record.backend_id) == ("small", "vendor/small", "bkd_0123456789ab")
    assert (record.prompt_tokens, record.completion_tokens, record.total_tokens) == (10, 24, 34)
    assert f"{record.cost_usd:f}" == "0.000000000123"
    assert (record.stream, record.emergency, record.partial) == (True, True, False)
    assert (record.ended_at - record.started_at).total_seconds() == 0.25
    assert record.trail == [["bkd_0123456789ab", "ok", 200, 1, 250]]


def test_a_closed_journal_is_emptied_and_deleted(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.end(ended("a"))
    journal.close()

    flusher.flush()

    assert ids() == {"a"}
    assert segment_names(tmp_path) == []
    assert JournalPosition.objects.get().closed


def test_requests_of_a_dead_process_are_closed_as_interrupted(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.begin(begun("a"))
    journal.begin(begun("b", model="large", input_tokens_estimate=77))
    journal.end(ended("a"))
    journal.close()

    assert flusher.flush() == 2

    record = UsageRecord.objects.get(id="b")
    assert (record.status, record.error_type) == (0, "interrupted")
    assert (record.model, record.input_tokens, record.estimated, record.partial) == ("large", 77, True, True)
    assert (record.cost_usd, record.backend_id) == (None, "")
    assert DailyStats.objects.get(pool="").error_count == 1


def test_a_request_is_interrupted_once_when_its_beginning_was_carried_over(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=2_000)
    journal.begin(begun("long"))
    for number in range(30):
        journal.end(ended(f"short{number}"))
    flusher.flush()
    assert "long" not in ids()

    journal.close()
    flusher.flush()

    assert UsageRecord.objects.filter(error_type="interrupted").count() == 1
    assert UsageRecord.objects.count() == 31


def test_full_segments_of_a_living_process_are_deleted(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=64 * MIB, segment_bytes=1_000)
    journal.begin(begun("long"))
    for _ in range(30):
        journal.end(ended())
    journal._sync()  # lets go of the full ones at once

    flusher.flush()

    assert segment_names(tmp_path) == [journal.segment_id + SEGMENT_SUFFIX]
    journal.end(ended("long"))
    journal.close()
    flusher.flush()
    assert UsageRecord.objects.count() == 31


def test_a_new_flusher_goes_on_where_the_last_one_stopped(journal: Journal, tmp_path: Path) -> None:
    journal.begin(begun("open"))
    journal.end(ended("a"))
    first = Flusher(tmp_path)
    first.flush()
    first.close()
    journal.end(ended("b"))

    second = Flusher(tmp_path)
    assert second.flush() == 1
    second.close()

    assert ids() == {"a", "b"}


def test_a_new_flusher_knows_requests_that_were_open_before_it_came(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.begin(begun("open"))
    journal.end(ended("a"))
    first = Flusher(tmp_path)
    first.flush()
    first.close()
    journal.close()

    second = Flusher(tmp_path)
    assert second.flush() == 1
    second.close()

    assert ids() == {"a", "open"}


def test_records_that_retention_took_away_are_not_counted_again(journal: Journal, tmp_path: Path) -> None:
    journal.begin(begun("open"))
    journal.end(ended("a"))
    first = Flusher(tmp_path)
    first.flush()
    first.close()
    UsageRecord.objects.all().delete()

    second = Flusher(tmp_path)
    second.flush()
    second.close()

    assert HourlyUsage.objects.get().request_count == 1


def test_a_flusher_that_died_before_the_deletion_leaves_nothing_to_count(tmp_path: Path, flusher: Flusher) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    journal.end(ended("a"))
    journal.close()
    path = tmp_path / (journal.segment_id + SEGMENT_SUFFIX)
    kept = path.read_bytes()
    flusher.flush()
    path.write_bytes(kept)
    UsageRecord.objects.all().delete()

    assert Flusher(tmp_path).flush() == 0
    assert segment_names(tmp_path) == []
    assert HourlyUsage.objects.get().request_count == 1


def test_two_flushers_on_one_journal_count_each_record_once(journal: Journal, tmp_path: Path) -> None:
    one, other = Flusher(tmp_path), Flusher(tmp_path)
    for number in range(20):
        journal.end(ended(str(number)))
        (one, other)[number % 2].flush()
        if number % 3 == 0:
            one.flush()

    one.flush()
    other.flush()
    one.flush()

    assert UsageRecord.objects.count() == HourlyUsage.objects.get().request_count == 20
    one.close()
    other.close()


def test_a_torn_tail_is_dropped_without_a_word(tmp_path: Path, flusher: Flusher, caplog: Any) -> None:
    data = HEADER + frame(ended("a")) + frame(ended("b"))
    (tmp_path / ("0" * 32 + SEGMENT_SUFFIX)).write_bytes(data[:-1])

    flusher.flush()

    assert ids() == {"a"}
    assert segment_names(tmp_path) == []
    assert caplog.messages == []


def test_a_damaged_segment_is_read_as_far_as_possible_and_put_aside(
    tmp_path: Path, flusher: Flusher, caplog: Any
) -> None:
    hurt = bytearray(frame(ended("b")))
    hurt[30] ^= 1
    data = HEADER + frame(ended("a")) + bytes(hurt) + frame(begun("open")) + frame(ended("c"))
    (tmp_path / ("0" * 32 + SEGMENT_SUFFIX)).write_bytes(data)

    flusher.flush()

    assert ids() == {"a", "c", "open"}
    assert segment_names(tmp_path) == ["0" * 32 + ".corrupt"]
    assert (tmp_path / ("0" * 32 + ".corrupt")).read_bytes() == data
    assert "journal_damaged" in caplog.messages


def test_damage_in_a_live_segment_is_passed_over_at_the_second_reading(
    journal: Journal, flusher: Flusher, tmp_path: Path
) -> None:
    journal.end(ended("a"))
    with (tmp_path / (journal.segment_id + SEGMENT_SUFFIX)).open("ab") as file:
        file.write(b"garbage")
    journal.end(ended("b"))

    assert [flusher.flush(), flusher.flush()] == [0, 2]


def test_an_empty_segment_of_a_dead_process_is_deleted(tmp_path: Path, flusher: Flusher) -> None:
    Journal(tmp_path, max_bytes=MIB).close()

    assert flusher.flush() == 0
    assert segment_names(tmp_path) == []


def test_a_segment_of_another_version_is_left_alone(tmp_path: Path, flusher: Flusher, caplog: Any) -> None:
    path = tmp_path / ("0" * 32 + SEGMENT_SUFFIX)
    path.write_bytes(b"AgentHub journal 9\n" + frame(ended("a")))

    assert [flusher.flush(), flusher.flush()] == [0, 0]
    assert path.exists()
    assert caplog.messages == ["journal_segment_unknown"]


def test_with_the_database_away_the_journal_waits_for_it(
    journal: Journal, flusher: Flusher, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    journal.end(ended("a"))
    with monkeypatch.context() as patch:

        def away(**_: object) -> int:
            raise OperationalError("the database is away")

        patch.setattr(flusher_module, "usage_record_batch", away)
        assert not flusher._attempt()
    journal.end(ended("b"))

    assert flusher._attempt()
    assert ids() == {"a", "b"}
    assert "journal_flush_waits" in caplog.messages


def test_one_record_that_the_database_refuses_does_not_hold_up_the_others(
    tmp_path: Path, flusher: Flusher, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    journal = Journal(tmp_path, max_bytes=MIB)
    for number in range(7):
        journal.end(ended(str(number)))
    journal.close()
    write = usage_record_batch

    def refuse_one(**batch: Any) -> int:
        if any(row.id == "3" for row in batch["rows"]):
            raise DataError("out of range")
        return write(**batch)

    monkeypatch.setattr(flusher_module, "usage_record_batch", refuse_one)
    flusher.flush()

    assert ids() == {"0", "1", "2", "4", "5", "6"}
    assert "usage_record_refused" in caplog.messages
    assert [path.suffix for path in tmp_path.iterdir()] == [".corrupt"]


def test_at_a_stop_it_flushes_once_more(journal: Journal, tmp_path: Path) -> None:
    journal.end(ended("a"))
    stop = threading.Event()
    stop.set()

    Flusher(tmp_path).run(stop)

    assert ids() == {"a"}


def test_starts_of_segments_that_nobody_finished_are_removed(tmp_path: Path) -> None:
    abandoned, fresh = tmp_path / ".a.new", tmp_path / ".b.new"
    for path in (abandoned, fresh):
        path.write_bytes(HEADER)
    os.utime(abandoned, (0, 0))
    stop = threading.Event()
    stop.set()

    Flusher(tmp_path).run(stop)

    assert segment_names(tmp_path) == [fresh.name]


def test_it_warns_when_the_journal_is_nearly_full(
    journal: Journal, flusher: Flusher, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv("AGENTHUB_JOURNAL_MAX_BYTES", str(MIB))
    while journal.size_bytes < 0.85 * MIB:
        journal.end(ended())
    flusher.flush()

    flusher._check_size()
    flusher._check_size()

    assert caplog.messages == ["journal_nearly_full"]


def test_the_command_says_how_much_it_has_flushed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, data_dir=tmp_path)):
        journal = Journal(settings.ENVIRONMENT.journal_dir, max_bytes=MIB)
        journal.end(ended())
        journal.close()
        call_command("flusher", "--once")

    assert capsys.readouterr().out == "1 usage records written to the database.\n"
