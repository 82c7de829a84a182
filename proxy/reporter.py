"""News of the request path for the database: cooldowns, errors, recoveries. Written in order, off the path.

With the database away the news wait (bounded) and are written when it is back; what is in force does not wait for it,
since the state of this process has it already.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError

from agenthub.core.bridge import in_thread

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 5.0

Write = Callable[[], object]


class Reporter:
    """One writer for all news of this process."""

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def report(self, write: Write) -> None:
        """Have `write` (a service with its arguments) called soon on a worker thread."""
        if len(self._waiting) >= MOST_WAITING:
            logger.error("report_dropped", extra={"waiting": MOST_WAITING})
            self._waiting.popleft()
        self._waiting.append(write)
        self._idle.clear()
        self._news.set()

    async def run(self) -> None:
        """Write for ever."""
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            if not self._waiting:
                self._idle.set()
                self._news.clear()
                await self._news.wait()
            try:
                await in_thread(self._waiting[0])
            except (DatabaseError, InterfaceError) as problem:
                logger.warning("report_delayed", extra={"reason": str(problem), "waiting": len(self._waiting)})
                await asyncio.sleep(retry_seconds)
                retry_seconds = min(LAST_RETRY_SECONDS, retry_seconds * 2)
                continue
            except Exception:
                # The edge of this loop: one piece of news that can't be written must not hold up all that follow.
                logger.exception("report_failed")
            retry_seconds = FIRST_RETRY_SECONDS
            self._waiting.popleft()

    async def drained(self) -> None:
        """Come back when everything has been written."""
        await self._idle.wait()
