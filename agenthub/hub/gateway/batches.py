"""Work of the database in groups: what many connections ask for is done in one transaction by one thread."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST = 512
FULL = 20_000
"""Items that may wait. What comes beyond them is told that the database does not keep up."""


BUSY_SECONDS, GATHER_SECONDS = 0.005, 0.0005


class Away(Exception):
    """The database could not do it now; the same may go well later."""


class Batches(Generic[Item, Outcome]):
    """One thread that does `work` for all items that have come while it was busy with those before.

    A lone item is done at once. Where one comes soon after the last group, more are likely to come: a moment is waited
    for them, since a group of three costs little more than a group of one. Under load the next group forms while one is
    at work.
    `work` gets at most `most` items and gives one outcome each, in the same order. When it fails on several, each is
    tried alone, so that one that can't be done spoils no other. With `keeps` the thread keeps its connection to the
    database while there is nothing to do; opening one costs more than most work.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Item]], Sequence[Outcome]],
        *,
        loop: asyncio.AbstractEventLoop,
        most: int = MOST,
        keeps: bool = False,
    ) -> None:
        self._work = work
        self._loop = loop
        self._most = most
        self._keeps = keeps
        self._waiting: deque[tuple[Item, Callable[[Outcome | Away], None]]] = deque()
        self._wake = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item, done: Callable[[Outcome | Away], None]) -> None:
        """Have an item done; `done` hears on the event loop, in the order of submission."""
        if len(self._waiting) >= FULL:
            self._loop.call_soon(done, Away("The database does not keep up."))
            return
        self._waiting.append((item, done))
        self._wake.set()

    async def result(self, item: Item) -> Outcome:
        """Have an item done and wait for it. Raises Away."""
        future: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome | Away) -> None:
            if future.done():
                return
            if isinstance(outcome, Away):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.submit(item, done)
        return await future

    def close(self) -> None:
        """Do what has been submitted, then end. Blocks until then."""
        self._ends = True
        self._wake.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        ended_at = 0.0
        while True:
            self._wake.wait()
            self._wake.clear()
            if time.monotonic() - ended_at < BUSY_SECONDS and not self._ends:
                time.sleep(GATHER_SECONDS)
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                outcomes = self._outcomes([item for item, _ in group])
                if not self._tell([(done, outcome) for (_, done), outcome in zip(group, outcomes, strict=True)]):
                    return
            ended_at = time.monotonic()
            if not self._keeps:
                close_old_connections()
            if self._ends:
                connection.close()
                return

    def _tell(self, told: list[tuple[Callable[[Outcome | Away], None], Outcome | Away]]) -> bool:
        try:
            self._loop.call_soon_threadsafe(_call_each, told)
        except RuntimeError:
            return False  # the loop has ended, and with it all who would hear
        return True

    def _outcomes(self, items: Sequence[Item], *, again: bool = True) -> Sequence[Outcome | Away]:
        try:
            return self._work(items)
        except (DatabaseError, InterfaceError) as problem:
            # The connection may have died long ago, with a server that was started anew since.
            connection.close()
            there = _reachable()
            if there and again:
                return self._outcomes(items, again=False)
            if len(items) == 1 or not there:
                logger.warning("batch_failed", extra={"batch": self._thread.name, "reason": str(problem).strip()})
                return [Away(str(problem).strip())] * len(items)
        except Exception as problem:
            logger.exception("batch_failed", extra={"batch": self._thread.name})
            if len(items) == 1:
                return [Away(str(problem))]
        return [outcome for item in items for outcome in self._outcomes([item], again=False)]


def _reachable() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        connection.close()
        return False
    return True


def _call_each(told: Sequence[tuple[Callable[..., None], object]]) -> None:
    for done, outcome in told:
        try:
            done(outcome)
        except Exception:  # the edge: one that fails must not keep the others from hearing
            logger.exception("outcome_not_taken")
