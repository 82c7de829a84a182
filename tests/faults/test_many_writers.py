"""Flushers of several machines on one database."""

from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from providers.models import DailyStats, HourlyUsage
from providers.services.usage import usage_record_batch
from tests.providers.usage_rows import usage_row


def test_writers_on_other_machines_add_to_the_same_sums_without_a_deadlock(shared_database: str) -> None:
    def write(writer: int) -> None:
        try:
            for batch in range(20):
                rows = [usage_row(model=f"m{number * (writer + 7) % 13}") for number in range(13)]
                usage_record_batch(rows=rows, start=batch, end=batch + 1, segment_id=f"s{writer}")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    assert sum(HourlyUsage.objects.values_list("request_count", flat=True)) == 4 * 20 * 13
    assert DailyStats.objects.get().request_count == 4 * 20 * 13
