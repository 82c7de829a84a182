"""The usage journal of one process: every request leaves a beginning and an end here before its last byte goes out.

Each is one `os.write` on the event loop, a few microseconds, so `kill -9` loses nothing. A thread brings what was
written to the disk every 100 ms. One segment is open at a time, locked by `flock` for as long as its writer lives:
a segment whose lock can be taken is dead, and the flusher (`proxy/flusher.py`) empties and deletes it.

When a segment is full, the beginnings still open are written again at the start of the next one. So every end stands in
the same segment as its beginning, and a stream of hours never holds old segments on the disk.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import threading
import uuid
from collections import deque
from pathlib import Path

from prometheus_client import Counter

from agenthub.core.clock import monotonic_seconds
from agenthub.core.errors import JournalFull
from proxy.rules.frames import HEADER, frame
from proxy.rules.record import Continued, RequestBegun, RequestEnded

log = logging.getLogger(__name__)

SEGMENT_SUFFIX = ".journal"
SEGMENT_BYTES = 16 * 1024 * 1024
SYNC_INTERVAL_SECONDS = 0.1
dropped_total = Counter("agenthub_journal_dropped_records", "Usage records lost because the journal was full.")

_SYNCS_PER_SCAN = 10
_SECONDS_BETWEEN_LOG_LINES = 60


class Journal:
    """Append entries to the segments of `folder`. Its methods belong to one thread, that of the event loop.

    `max_bytes` bounds the segments of all processes together. At the bound, or while the disk takes nothing, `begin`
    raises JournalFull if `refuse` is set; else requests are served and their records counted in `dropped_count`.
    `max_bytes` and `refuse` may change at any time.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, refuse: bool = True, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.refuse = refuse
        self.segment_bytes = segment_bytes
        self.dropped_count = 0  # records that could not be written and are lost
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.size_bytes = folder_bytes(folder)  # of all processes; looked up about once a second
        self._open: dict[str, bytes] = {}  # the frames of beginnings without an end, by request id
        # While `_failing`, only the thread writes, under the lock; else only the event loop does, without it.
        self._failing = False
        self._failing_lock = threading.Lock()
        self._unwritten: deque[tuple[str, bytes]] = deque()  # ends that wait for room on the disk
        self._logged_at = -float(_SECONDS_BETWEEN_LOG_LINES)
        self.segment_id, self._fd, self._size = self._new_segment(b"")
        self._limit = self._segment_limit()
        self._dirty = False
        self._folder_dirty = True
        self._retired: deque[int] = deque()  # descriptors of full segments, synced and closed by the thread
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._sync_forever, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether a request that begins now can't be recorded."""
        return self._failing or self.size_bytes >= self.max_bytes

    @property
    def open_count(self) -> int:
        """Requests that have begun and not ended."""
        return len(self._open)

    @property
    def unwritten_count(self) -> int:
        """Records held in memory until the disk has room again."""
        return len(self._unwritten)

    def begin(self, entry: RequestBegun) -> None:
        """Write the beginning of a request, before it is sent anywhere. Raises JournalFull if set to refuse."""
        data = frame(entry)
        if not self.full and self._append(data):
            self._open[entry.id] = data
        elif self.refuse:
            raise JournalFull(
                "The hub can't record usage at the moment and refuses requests until it can; its operator finds the "
                "reason in the log. Try again later.",
                retry_after_seconds=5,
            )

    def end(self, entry: RequestEnded) -> None:
        """Write the whole record of a request, before its last byte goes out. Never raises.

        The end of a request that has begun is written beyond `max_bytes` too, and waits in memory while the disk is
        full. A record without a beginning (a refusal) is dropped then, so that refusals can't fill the disk.
        """
        begun = entry.id in self._open
        if not begun and self.full:
            self._drop(entry)
            return
        data = frame(entry)
        if self._append(data):
            self._open.pop(entry.id, None)
        elif begun and self.refuse:
            with self._failing_lock:
                self._unwritten.append((entry.id, data))
                self._failing = True
        else:
            self._drop(entry)

    async def synced(self) -> None:
        """Come back when all that was written until now is on the disk (for `AGENTHUB_JOURNAL_SYNC=always`)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiters.append((loop, future))
        self._wake.set()
        await future

    def close(self) -> None:
        """Bring everything to the disk and let go of the segment; what is still open will be closed as interrupted."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._recover()
        self._retired.append(self._fd)
        self._dirty = False
        self._sync()

    # -- writing

    def _drop(self, entry: RequestEnded) -> None:
        self._open.pop(entry.id, None)
        self.dropped_count += 1
        dropped_total.inc()
        if self._may_log():
            log.error("usage_record_dropped", extra={"record": entry.id, "dropped": self.dropped_count})

    def _append(self, data: bytes) -> bool:
        if self._failing:
            return False
        if self._size >= self._limit:
            self._rotate()
        return self._write(data)

    def _write(self, data: bytes) -> bool:
        try:
            written = os.write(self._fd, data)
        except OSError as problem:
            return self._fail(problem)
        if written != len(data):
            return self._fail(OSError(errno.ENOSPC, "only a part of an entry could be written"))
        self._size += written
        self.size_bytes += written
        self._dirty = True
        return True

    def _fail(self, problem: OSError) -> bool:
        self._failing = True
        if self._may_log():
            log.error("journal_write_failed", extra={"reason": str(problem), "segment": self.segment_id})
        return False

    def _may_log(self) -> bool:
        """Once a minute: a full disk must not be filled with complaints."""
        now = monotonic_seconds()
        if now - self._logged_at < _SECONDS_BETWEEN_LOG_LINES:
            return False
        self._logged_at = now
        return True

    def _recover(self) -> None:
        """Write what waits for room; afterwards the event loop writes again, if all of it went in."""
        if not self._failing:
            return
        with self._failing_lock:
            try:
                os.ftruncate(self._fd, self._size)  # a torn frame that a failed write has left
            except OSError as problem:
                self._fail(problem)
                return
            while self._unwritten:
                request_id, data = self._unwritten[0]
                if not self._write(data):
                    return
                self._unwritten.popleft()
                self._open.pop(request_id, None)
            self._failing = False

    def _rotate(self) -> None:
        try:
            segment_id, fd, size = self._new_segment(b"".join(self._open.values()))
        except OSError as problem:
            log.warning("journal_segment_not_opened", extra={"reason": str(problem)})
            self._limit = self._size + self.segment_bytes
            return
        if not self._write(frame(Continued(segment_id))):
            # Without this entry the old segment may not be let go; the new one holds nothing of its own yet.
            (self.folder / (segment_id + SEGMENT_SUFFIX)).unlink(missing_ok=True)
            os.close(fd)
            return
        self._retired.append(self._fd)
        self.segment_id, self._fd, self._size = segment_id, fd, size
        self.size_bytes += size
        self._limit = self._segment_limit()
        self._folder_dirty = True

    def _segment_limit(self) -> int:
        # Small enough that what is already in the database never fills a small journal, and large enough that many
        # open requests, written again in each segment, do not make the next one full at once.
        return max(min(self.segment_bytes, self.max_bytes // 8), 2 * self._size)

    def _new_segment(self, carried: bytes) -> tuple[str, int, int]:
        segment_id = uuid.uuid4().hex
        hidden = self.folder / f".{segment_id}.new"
        data = HEADER + carried
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, "the start of a segment could not be written")
            # It gets its name once it is locked, so that no flusher takes it for the segment of a dead process.
            hidden.rename(self.folder / (segment_id + SEGMENT_SUFFIX))
        except OSError:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        return segment_id, fd, len(data)

    # -- the sync thread

    def _sync_forever(self) -> None:
        syncs = 0
        while not self._stopping:
            self._wake.wait(SYNC_INTERVAL_SECONDS)
            self._wake.clear()
            self._recover()
            self._sync()
            syncs += 1
            if syncs % _SYNCS_PER_SCAN == 0:
                self.size_bytes = folder_bytes(self.folder)

    def _sync(self) -> None:
        waiters = [self._waiters.popleft() for _ in range(len(self._waiters))]
        try:
            if self._dirty:
                self._dirty = False
                os.fdatasync(self._fd)
            # After the current one, since it may have become a retired one meanwhile.
            while self._retired:
                _sync_and_close(self._retired.popleft())
            if self._folder_dirty:
                self._folder_dirty = False
                _sync_folder(self.folder)
        except OSError as problem:
            # The kernel forgets pages that it failed to write, so there is nothing to try again.
            log.error("journal_sync_failed", extra={"reason": str(problem), "segment": self.segment_id})
        for loop, future in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake_up, future)


def folder_bytes(folder: Path) -> int:
    """The size of all segments in `folder`."""
    return sum(size for _, size in segments(folder))


def segments(folder: Path) -> list[tuple[Path, int]]:
    """The segments in `folder` with their sizes in bytes, by name."""
    found = []
    for path in folder.glob("*" + SEGMENT_SUFFIX):
        with contextlib.suppress(FileNotFoundError):  # the flusher has just deleted it
            found.append((path, path.stat().st_size))
    return sorted(found)


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _wake_up(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
