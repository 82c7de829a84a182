"""What client keys have spent since their budgets began: the database's sums, and what the journal has beyond them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from django.conf import settings

from agenthub.core.reading import one_view
from providers.rules.usage import UsageRow
from providers.usage_selectors import journal_positions, recorded_ids, spent_by_key
from proxy.rules.budget import period_start
from proxy.rules.caller import Caller
from proxy.rules.ledger import ended_row
from proxy.segments import ENTRIES_PER_TRANSACTION, held_segments, read_stretch

Since = Mapping[str, datetime]


def spent_picousd(
    callers: Mapping[bytes, Caller], *, now: datetime, time_zone: tzinfo, folder: Path | None = None
) -> dict[str, int]:
    """What each key with a budget has spent in the period that runs at `now`, in picodollars, by its id.

    `folder` is the journal's, that of the environment unless told. Every request whose end stood in the journal when
    this was called is counted once, also while flushers bring it into the database. To be called outside of
    transactions. Raises DatabaseError.
    """
    since = {
        caller.id: period_start(caller.budget.period, now=now, time_zone=time_zone)
        for caller in callers.values()
        if caller.budget is not None
    }
    if not since:
        return {}
    # The order matters. A segment that a flusher finishes and deletes is either held here, or had been finished before
    # and is in the view with all that it held. The view then says of each entry on which side of the position it is.
    with held_segments(folder or settings.ENVIRONMENT.journal_dir) as held, one_view():
        spent = dict.fromkeys(since, 0) | spent_by_key(since)
        positions = journal_positions(held)
        for segment_id, fd in held.items():
            position, closed = positions.get(segment_id, (0, False))
            if closed:
                continue
            for row in _not_in_database(fd, position, since):
                spent[row.client_key_id] += row.cost_usd or 0
    return spent


def _not_in_database(fd: int, position: int, since: Since) -> Iterator[UsageRow]:
    rows, position = _rows(fd, position, since)
    # Of a batch that the database refuses, a flusher writes the parts before it moves the position.
    recorded = recorded_ids(row.id for row in rows)
    yield from (row for row in rows if row.id not in recorded)
    while True:
        before = position
        rows, position = _rows(fd, position, since)
        if position == before:
            return
        yield from rows


def _rows(fd: int, position: int, since: Since) -> tuple[list[UsageRow], int]:
    """The next priced records of the keys that count, and the position behind them."""
    stretch = read_stretch(fd, position, limit=ENTRIES_PER_TRANSACTION)
    priced = (entry for entry in stretch.records if entry.cost_picousd and entry.client_key_id in since)
    rows = [ended_row(entry) for entry in priced]
    return [row for row in rows if row.started_at >= since[row.client_key_id]], stretch.end
