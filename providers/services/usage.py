"""Writing the ledger: records, sums and the position in the journal in one transaction, each record exactly once.

Two things make it so. The position only moves on from where the batch began, so two flushers, or one that was killed
and came back, never count a stretch of the journal twice. And a record whose id is there already is not inserted, and
only inserted ones are added to the sums. All rows are touched in one order (position, records, sums, each sorted), so
that flushers on many machines do not deadlock.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, models, transaction

from agenthub.core.clock import monotonic_seconds, utc_now
from agenthub.core.ids import short_id
from agenthub.core.retries import retried
from providers.models import DailyBackend, DailyStats, HourlyUsage, JournalPosition, UsageRecord
from providers.rules.usage import Sums, UsageRow, hourly_model, sums_of

ROWS_PER_STATEMENT = 400
"""SQLite takes 32,766 parameters in a statement."""

LEDGER_MARKS_DAYS = 366
"""How long the marks are kept that keep late or repeated entries from being counted twice: closed positions, for files
that a flusher was killed before deleting, and which backend served on a day."""

PRUNE_SECONDS = 300.0
"""How long one run of the hourly clean-up may last."""

_PLAIN = frozenset({str, int, bool, type(None)})
_ADDED = {name: f"t.{name} + excluded.{name}" for name in (*Sums._fields, "unique_backends")} | {
    # Null is "not priced": it must not swallow what is priced.
    "cost_usd": "COALESCE(t.cost_usd + excluded.cost_usd, t.cost_usd, excluded.cost_usd)"
}


class PositionMoved(Exception):
    """Another flusher has read on in this segment, or closed it; nothing was written."""


def usage_record_batch(*, rows: Sequence[UsageRow], segment_id: str, start: int, end: int, closed: bool = False) -> int:
    """Write what stands between two positions of a segment; the answer is how many records were new.

    `closed` says that nothing will follow. Raises PositionMoved if the segment's position is not `start`.
    """
    return retried(lambda: _record_batch(rows, segment_id, start, end, closed))


@transaction.atomic
def _record_batch(rows: Sequence[UsageRow], segment_id: str, start: int, end: int, closed: bool) -> int:
    _move_position(segment_id, start, end, closed)
    inserted = _insert_records(rows)
    if inserted:
        _add_to_hours(inserted)
        _add_to_days(inserted)
    return len(inserted)


def _move_position(segment_id: str, start: int, end: int, closed: bool) -> None:
    now = utc_now()
    if start == 0:
        JournalPosition.objects.bulk_create(
            [JournalPosition(segment_id=segment_id, updated_at=now)], ignore_conflicts=True
        )
    # The row stays locked until the commit, so another flusher on this segment waits here and then sees the move.
    here = JournalPosition.objects.filter(segment_id=segment_id, position=start, closed=False)
    if not here.update(position=end, closed=closed, updated_at=now):
        raise PositionMoved(segment_id)


def _insert_records(rows: Sequence[UsageRow]) -> list[UsageRow]:
    by_id: dict[str, UsageRow] = {}
    for row in rows:
        by_id.setdefault(row.id, row)
    ordered = [by_id[record_id] for record_id in sorted(by_id)]
    inserted: list[UsageRow] = []
    for first in range(0, len(ordered), ROWS_PER_STATEMENT):
        chunk: list[tuple[Any, ...]] = [*ordered[first : first + ROWS_PER_STATEMENT]]
        new_ids = _insert(UsageRecord, UsageRow._fields, chunk, "ON CONFLICT DO NOTHING RETURNING id")
        inserted += [by_id[record_id] for (record_id,) in new_ids]
    return inserted


def _add_to_hours(rows: Iterable[UsageRow]) -> None:
    groups: dict[tuple[datetime, str, str, str], list[UsageRow]] = defaultdict(list)
    for row in rows:
        hour = row.started_at.replace(minute=0, second=0, microsecond=0)
        groups[hour, row.backend_id, hourly_model(row), row.client_key_id].append(row)
    values = [
        (short_id("use"), hour, backend_id, model, client_key_id, *sums_of(members))
        for (hour, backend_id, model, client_key_id), members in sorted(groups.items(), key=lambda group: group[0])
    ]
    key = ("hour", "backend_id", "model", "client_key_id")
    _add(HourlyUsage, key, ("id", *key, *Sums._fields), values)


def _add_to_days(rows: Iterable[UsageRow]) -> None:
    groups: dict[tuple[date, str], list[UsageRow]] = defaultdict(list)
    for row in rows:
        groups[row.started_at.date(), row.pool].append(row)
    ordered = sorted(groups.items(), key=lambda group: group[0])
    seen = [
        (day, pool, backend_id)
        for (day, pool), members in ordered
        for backend_id in sorted({row.backend_id for row in members} - {""})
    ]
    new_backends: dict[tuple[str, str], int] = defaultdict(int)
    for day_text, pool in _insert(
        DailyBackend, ("date", "pool", "backend_id"), seen, 'ON CONFLICT DO NOTHING RETURNING "date", pool'
    ):
        new_backends[str(day_text), pool] += 1
    values = [
        (short_id("day"), day, pool, new_backends[day.isoformat(), pool], *sums_of(members))
        for (day, pool), members in ordered
    ]
    key = ("date", "pool")
    _add(DailyStats, key, ("id", *key, "unique_backends", *Sums._fields), values)


def _add(
    model: type[models.Model], key: tuple[str, ...], columns: Sequence[str], values: list[tuple[Any, ...]]
) -> None:
    """Insert rows of sums, or add to those that stand there."""
    added = ", ".join(f"{name} = {_ADDED[name]}" for name in columns if name in _ADDED)
    conflict = ", ".join(f'"{name}"' for name in key)
    for first in range(0, len(values), ROWS_PER_STATEMENT):
        chunk = values[first : first + ROWS_PER_STATEMENT]
        _insert(model, columns, chunk, f"ON CONFLICT ({conflict}) DO UPDATE SET {added} RETURNING 1")


def _insert(model: type[models.Model], columns: Sequence[str], values: list[tuple[Any, ...]], then: str) -> list[Any]:
    """Insert `values`, in their order, by one statement; the answer is what its RETURNING clause in `then` gives."""
    if not values:
        return []
    table, names = model._meta.db_table, ", ".join(f'"{name}"' for name in columns)
    if connection.vendor == "postgresql":
        # One parameter instead of thousands, which the driver would bind one by one at four times the cost.
        source = f'SELECT {names} FROM json_populate_recordset(NULL::"{table}", %s::json)'  # noqa: S608 - own names
        rows = [dict(zip(columns, row, strict=True)) for row in values]
        parameters: list[Any] = [msgspec.json.encode(rows).decode()]
    else:
        row_marks = "(" + ", ".join(["%s"] * len(columns)) + ")"
        source = f"VALUES {', '.join([row_marks] * len(values))}"
        parameters = [value if type(value) in _PLAIN else _as_sqlite(value) for row in values for value in row]
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" AS t ({names}) {source} {then}', parameters)
        return list(cursor.fetchall())


def _as_sqlite(value: tuple[Any, ...] | date) -> str:
    if isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix("+00:00")  # as Django stores it, at a tenth of the cost
    return value.isoformat()


def journal_position(segment_id: str) -> tuple[int, bool]:
    """How far a segment is in the database, in bytes, and whether it is closed; (0, False) for an unknown one."""
    row = JournalPosition.objects.filter(segment_id=segment_id).first()
    return (row.position, row.closed) if row else (0, False)


def usage_prune(*, now: datetime, days: int, batch: int = 1_000, most_seconds: float = PRUNE_SECONDS) -> int:
    """Delete the records that ended more than `days` ago, in short transactions; the sums stay.

    It can't run ahead of replay: what has been counted stands before the segment's position and is never read again,
    whether its record still exists or not. The answer is how many records were deleted; a run ends after
    `most_seconds`, and the next goes on where it stopped.
    """
    end, until = now - timedelta(days=days), monotonic_seconds() + most_seconds
    total = 0
    while deleted := retried(lambda: _delete_records(end, batch)):
        total += deleted
        if monotonic_seconds() >= until:
            break
    marks_end = now.astimezone(UTC) - timedelta(days=LEDGER_MARKS_DAYS)
    JournalPosition.objects.filter(closed=True, updated_at__lt=marks_end).delete()
    DailyBackend.objects.filter(date__lt=marks_end.date()).delete()
    return total


@transaction.atomic
def _delete_records(end: datetime, batch: int) -> int:
    # By the index on ended_at. Rows that another node is just deleting are left to it.
    old = UsageRecord.objects.filter(ended_at__lt=end).order_by("ended_at")
    ids = list(old.select_for_update(skip_locked=True).values_list("id", flat=True)[:batch])
    return UsageRecord.objects.filter(id__in=ids).delete()[0] if ids else 0
