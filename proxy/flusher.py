"""Journal to database: every entry of every segment of a folder, in short transactions, each record exactly once.

A pass looks at all segments. Of a live one it reads what is new; one whose writer is dead it reads to its end, closes
the requests left open as interrupted, and deletes it. While the database is away nothing is lost: the journal keeps it.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from django.db import DatabaseError, DataError, IntegrityError, connection
from prometheus_client import Counter, Gauge

from agenthub.core.clock import epoch_seconds, monotonic_seconds, utc_now
from agenthub.core.events import AlertRaised, AlertResolved, LoopEnded, LoopTurned, publish
from agenthub.core.params import RuntimeSettings
from agenthub.core.settings_store import runtime_settings
from providers.rules.usage import UsageRow
from providers.services.usage import PositionMoved, journal_position, usage_record_batch
from proxy.journal import segments
from proxy.rules.ledger import ended_row, interrupted_row
from proxy.segments import ENTRIES_PER_TRANSACTION, Segment, UnknownFormat

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0
ALERT_AT = 0.8
"""The part of the journal's bound from which the log and an alert warn."""

ALERT_RULE = "journal_filling"

_SECONDS_BETWEEN_ALERTS = 60
_ABANDONED_SECONDS = 60

journal_bytes = Gauge("agenthub_journal_bytes", "Size of the usage journal.", multiprocess_mode="mostrecent")
journal_lag_seconds = Gauge(
    "agenthub_journal_lag_seconds", "Time since all of the journal was in the database.", multiprocess_mode="mostrecent"
)
journal_max_bytes = Gauge(
    "agenthub_journal_max_bytes", "The bound of the usage journal.", multiprocess_mode="mostrecent"
)
records_total = Counter("agenthub_usage_records", "Usage records written to the database.")
damaged_bytes_total = Counter("agenthub_journal_damaged_bytes", "Bytes of the journal that could not be read.")


class Flusher:
    """Moves the journal of one folder into the database. Any number of them may work on the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size_bytes = 0
        self._segments: dict[Path, Segment] = {}
        self._unknown: set[Path] = set()
        self._drained_at = monotonic_seconds()
        self._checked_at = -float(_SECONDS_BETWEEN_ALERTS)
        self._max_bytes = RuntimeSettings().journal_max_bytes
        self._filling: bool | None = None  # None: not known what a flusher before this one has said
        self._news: list[AlertRaised | AlertResolved] = []  # what the database has not taken yet

    def run(self, stop: threading.Event) -> None:
        """Flush until `stop` is set, and once more then. Faults are logged and tried again, ever more slowly."""
        _remove_abandoned(self.folder)
        backoff = POLL_SECONDS
        while not stop.wait(backoff):
            flushed = self._attempt()
            backoff = POLL_SECONDS if flushed else min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            publish(LoopTurned("flusher"))
            if flushed:
                publish(LoopTurned("journal"))
            self._check_size()
            self._tell()
        self._attempt()
        self.close()
        for part in ("journal", "flusher"):
            publish(LoopEnded(part))

    def flush(self) -> int:
        """Bring all that stands in the journal now into the database; the answer is how many records were new."""
        found = segments(self.folder)
        self.size_bytes = sum(size for _, size in found)
        journal_bytes.set(self.size_bytes)
        journal_lag_seconds.set(monotonic_seconds() - self._drained_at)
        paths = {path for path, _ in found}
        for path in [path for path in self._segments if path not in paths]:
            self._segments.pop(path).close()  # another flusher has finished it
        count = sum(self._flush_path(path) for path, _ in found if path not in self._unknown)
        self._drained_at = monotonic_seconds()
        journal_lag_seconds.set(0)
        return count

    def close(self) -> None:
        """Let go of all files."""
        while self._segments:
            self._segments.popitem()[1].close()

    def _attempt(self) -> bool:
        try:
            self.flush()
        except DatabaseError as problem:
            log.warning("journal_flush_waits", extra={"reason": str(problem).strip()})
            connection.close()
            return False
        except Exception:  # the edge of the process: the journal keeps what is not flushed
            log.exception("journal_flush_failed")
            connection.close()
            return False
        return True

    def _check_size(self) -> None:
        """Once a minute, warn if the journal nears its bound, beyond which requests are refused or not recorded."""
        now = monotonic_seconds()
        if now - self._checked_at < _SECONDS_BETWEEN_ALERTS:
            return
        self._checked_at = now
        try:
            self._max_bytes = runtime_settings().journal_max_bytes
        except DatabaseError:
            connection.close()  # just then it matters: the last known bound holds
        journal_max_bytes.set(self._max_bytes)
        before, self._filling = self._filling, self.size_bytes >= ALERT_AT * self._max_bytes
        source = f"journal:{socket.gethostname()}"
        if self._filling:
            figures = {"bytes": self.size_bytes, "max_bytes": self._max_bytes}
            log.error("journal_nearly_full", extra=figures)
            self._news = [_filling(source, figures)]
        elif before is not False:
            self._news.append(AlertResolved(rule=ALERT_RULE, source=source))

    def _tell(self) -> None:
        """Publish what is new. With the database away it waits, since just then the journal fills."""
        while self._news:
            try:
                publish(self._news[0])
            except DatabaseError:
                connection.close()
                return
            except Exception:  # an alert that can't be written must not stop the flusher
                log.exception("alert_failed")
            del self._news[0]

    def _flush_path(self, path: Path) -> int:
        segment = self._segments.get(path) or self._follow(path)
        if segment is None:
            return 0
        try:
            return self._flush_segment(segment)
        except PositionMoved:
            self._drop(segment)  # another flusher was here; the next pass goes on from where it got to
            return 0

    def _follow(self, path: Path) -> Segment | None:
        position, closed = journal_position(path.stem)
        try:
            segment = self._segments[path] = Segment(path, position)
        except FileNotFoundError:
            return None
        except UnknownFormat:
            self._unknown.add(path)
            log.error(
                "journal_segment_unknown",
                extra={"segment": path.name, "advice": "It was left alone; flush it with the version that wrote it."},
            )
            return None
        if closed:  # a flusher died between its last commit and the deletion
            self._finish(segment)
            return None
        return segment

    def _flush_segment(self, segment: Segment) -> int:
        count = 0
        dead = segment.dead()  # before reading, so that nothing can follow what is read
        while True:
            stretch = segment.read(limit=ENTRIES_PER_TRANSACTION, dead=dead)
            if not stretch.entries:
                break
            rows = [ended_row(entry) for entry in stretch.records]
            count += self._write(segment, rows, stretch.start, stretch.end)
            segment.passed(stretch)
            if stretch.damaged_bytes:
                damaged_bytes_total.inc(stretch.damaged_bytes)
                log.error("journal_damaged", extra={"segment": segment.id, "bytes": stretch.damaged_bytes})
        if dead:
            count += self._close(segment)
        return count

    def _close(self, segment: Segment) -> int:
        """Write the interrupted requests of a dead segment, close it and delete it."""
        now = utc_now()
        rows = [interrupted_row(entry, now=now) for entry in segment.interrupted]
        count = 0
        position = segment.position
        while len(rows) > ENTRIES_PER_TRANSACTION:
            count += self._write(segment, rows[:ENTRIES_PER_TRANSACTION], position, position)
            del rows[:ENTRIES_PER_TRANSACTION]
        count += self._write(segment, rows, position, position, closed=True)
        if count:
            log.warning("requests_interrupted", extra={"segment": segment.id, "count": count})
        self._finish(segment)
        return count

    def _finish(self, segment: Segment) -> None:
        # Its position stays, closed, so that another flusher that has the file still open counts nothing again.
        segment.delete()
        self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        del self._segments[segment.path]
        segment.close()

    def _write(self, segment: Segment, rows: Sequence[UsageRow], start: int, end: int, *, closed: bool = False) -> int:
        try:
            count = usage_record_batch(rows=rows, segment_id=segment.id, start=start, end=end, closed=closed)
        except (DataError, IntegrityError) as problem:
            if len(rows) > 1:
                half = len(rows) // 2
                count = self._write(segment, rows[:half], start, start)
                return count + self._write(segment, rows[half:], start, end, closed=closed)
            if not rows:
                raise
            # One record must not hold up all that follow; its segment is kept.
            log.error("usage_record_refused", extra={"record": rows[0].id, "reason": str(problem).strip()})
            segment.damaged_bytes += 1
            return self._write(segment, [], start, end, closed=closed)
        records_total.inc(count)
        return count


def _filling(source: str, figures: dict[str, int]) -> AlertRaised:
    return AlertRaised(
        rule=ALERT_RULE,
        severity="critical",
        source=source,
        summary=f"The usage journal holds {figures['bytes']} of at most {figures['max_bytes']} bytes; at the bound "
        "requests are refused or not recorded, as journal_full says.",
        details=figures,
    )


def _remove_abandoned(folder: Path) -> None:
    """Remove the starts of segments whose writer died before they got their name."""
    for path in folder.glob(".*.new"):
        with contextlib.suppress(FileNotFoundError):
            if epoch_seconds() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
