from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError

from agenthub.core.clock import utc_now
from providers.models import DailyBackend, DailyStats, HourlyUsage, JournalPosition, UsageRecord
from providers.services import usage as service
from providers.services.usage import PositionMoved, journal_position, usage_prune, usage_record_batch
from tests.providers.usage_rows import NOON, usage_row


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"], autouse=True)
def ledger(request: pytest.FixtureRequest) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")


def record(*rows: object, start: int = 0, end: int = 0, segment_id: str = "s") -> int:
    return usage_record_batch(rows=rows, segment_id=segment_id, start=start, end=end)  # type: ignore[arg-type]


def test_records_sums_and_position_are_written_together() -> None:
    assert record(usage_row("a"), usage_row("b"), end=100) == 2

    hour, day = HourlyUsage.objects.get(), DailyStats.objects.get()
    assert (hour.hour, hour.backend_id, hour.model, hour.client_key_id) == (NOON, "bkd_a", "small", "key_a")
    assert (day.date, day.pool, day.unique_backends) == (date(2025, 11, 21), "primary", 1)
    for sums in (hour, day):
        assert (sums.request_count, sums.error_count, sums.total_tokens) == (2, 0, 60)
        assert sums.cost_usd == Decimal("0.00001")
        assert (sums.latency_us_sum, sums.latency_count) == (500_000, 2)
    assert journal_position("s") == (100, False)


def test_a_second_batch_is_added_to_the_sums() -> None:
    record(usage_row("a", cost_usd=None), end=1)
    record(usage_row("b", backend_id="bkd_b"), usage_row("c", cost_usd=7), start=1, end=2)

    assert HourlyUsage.objects.get(backend_id="bkd_a").cost_usd == Decimal("7e-12")
    day = DailyStats.objects.get()
    assert (day.request_count, day.unpriced_count, day.unique_backends) == (3, 1, 2)
    assert day.cost_usd == Decimal("5.000007e-6")


def test_an_unpriced_sum_stays_empty() -> None:
    record(usage_row(cost_usd=None), end=1)
    record(usage_row(cost_usd=None), start=1, end=2)

    assert HourlyUsage.objects.get().cost_usd is None


def test_a_record_that_is_there_already_adds_nothing() -> None:
    record(usage_row("a"), usage_row("b"), segment_id="s", end=1)

    assert record(usage_row("a"), usage_row("c"), usage_row("c", status=503), segment_id="other", end=1) == 1
    assert HourlyUsage.objects.get().request_count == UsageRecord.objects.count() == 3


def test_a_batch_from_another_position_writes_nothing() -> None:
    record(usage_row("a"), end=50)

    for start in (0, 49, 51):
        with pytest.raises(PositionMoved):
            record(usage_row("b"), start=start, end=60)
    assert UsageRecord.objects.count() == 1
    assert journal_position("s") == (50, False)


def test_a_closed_segment_takes_nothing_more() -> None:
    usage_record_batch(rows=[], segment_id="s", start=0, end=10, closed=True)

    with pytest.raises(PositionMoved):
        record(usage_row("a"), start=10, end=20)


def test_a_batch_that_fails_leaves_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(service, "_add_to_days", fail)
    with pytest.raises(OperationalError):
        record(usage_row("a"), end=1)

    assert not UsageRecord.objects.exists()
    assert not HourlyUsage.objects.exists()
    assert not JournalPosition.objects.exists()


def test_a_batch_that_had_to_give_way_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    add, faults = service._add_to_days, [OperationalError("database is locked")] * 2

    def give_way(rows: object) -> None:
        if faults:
            raise faults.pop()
        add(rows)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "_add_to_days", give_way)

    assert record(usage_row("a"), end=1) == 1
    assert HourlyUsage.objects.get().request_count == 1


def test_large_batches_go_in_several_statements() -> None:
    rows = [usage_row(model=f"m{number}", backend_id=f"bkd_{number}") for number in range(1_000)]

    assert record(*rows, end=1) == 1_000
    assert HourlyUsage.objects.count() == 1_000
    assert DailyStats.objects.get().unique_backends == DailyBackend.objects.count() == 1_000


def test_hours_and_days_are_those_of_utc() -> None:
    east = datetime(2025, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC)
    record(usage_row(started_at=east), usage_row(started_at=east + timedelta(microseconds=1)), end=1)

    assert [row.hour.hour for row in HourlyUsage.objects.order_by("hour")] == [23, 0]
    assert [str(row.date) for row in DailyStats.objects.order_by("date")] == ["2025-11-21", "2025-11-22"]


def test_a_refusal_before_any_backend_has_neither_pool_nor_backend() -> None:
    record(usage_row(backend_id="", pool="", status=404, cost_usd=None, input_tokens=0, output_tokens=0), end=1)

    day = DailyStats.objects.get()
    assert (day.pool, day.unique_backends, day.error_count, day.cost_usd) == ("", 0, 1, None)


def test_texts_of_every_kind_arrive_as_they_are() -> None:
    name = "模型 'quoted' \"double\" \\ %s {} \u2028 😀"
    record(usage_row("a", model=name, trail=((name, "ok", 200, 0, 1),)), end=1)

    row = UsageRecord.objects.get()
    assert (row.model, row.trail) == (name, [[name, "ok", 200, 0, 1]])
    assert HourlyUsage.objects.get().model == name


def test_retention_deletes_old_records_and_keeps_the_sums() -> None:
    old = [usage_row(started_at=NOON - timedelta(days=31)) for _ in range(25)]
    record(*old, usage_row("new", started_at=NOON), end=1)

    assert usage_prune(now=NOON, days=30, batch=10) == 25

    assert list(UsageRecord.objects.values_list("id", flat=True)) == ["new"]
    assert sum(HourlyUsage.objects.values_list("request_count", flat=True)) == 26
    assert JournalPosition.objects.count() == 1


def test_one_run_of_retention_is_bounded_and_the_next_goes_on() -> None:
    record(*[usage_row(started_at=NOON - timedelta(days=31)) for _ in range(25)], end=1)
    assert usage_prune(now=NOON, days=30, batch=10, most_seconds=0) == 10
    assert usage_prune(now=NOON, days=30, batch=10) == 15


def test_retention_keeps_the_marks_of_closed_segments_for_a_year() -> None:
    usage_record_batch(rows=[usage_row()], segment_id="s", start=0, end=10, closed=True)

    usage_prune(now=utc_now() + timedelta(days=365), days=30)
    assert journal_position("s") == (10, True)

    usage_prune(now=utc_now() + timedelta(days=367), days=30)
    assert journal_position("s") == (0, False)


def test_retention_never_forgets_the_position_of_an_open_segment() -> None:
    record(usage_row(), end=10)

    usage_prune(now=utc_now() + timedelta(days=3_000), days=30)

    assert journal_position("s") == (10, False)


def test_retention_goes_by_the_end_of_a_request() -> None:
    record(usage_row("long", started_at=NOON - timedelta(days=31), latency_us=2 * 86_400 * 10**6), end=1)

    assert usage_prune(now=NOON, days=30) == 0
