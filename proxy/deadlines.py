"""Time limits of attempts, looked after by one ticking clock: a timer of the event loop for each would cost every
request two of its system's most expensive objects."""

import asyncio
from typing import Protocol

from agenthub.core import clock

TICK_SECONDS = 0.02


class Limited(Protocol):
    """What has a time limit."""

    deadline: float  # monotonic seconds; may be moved at any time

    def overdue(self, now: float) -> None:
        """The deadline has passed."""


class Deadlines:
    """Looks every tick whether something is overdue, while there is anything to look at."""

    def __init__(self, *, tick_seconds: float = TICK_SECONDS) -> None:
        self._tick_seconds = tick_seconds
        self._watched: set[Limited] = set()
        self._ticking = False

    def watch(self, limited: Limited) -> None:
        """Call `limited.overdue` once its deadline has passed, at most a tick late, until `forget`."""
        self._watched.add(limited)
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def forget(self, limited: Limited) -> None:
        """It has ended."""
        self._watched.discard(limited)

    def _tick(self) -> None:
        now = clock.monotonic_seconds()
        for limited in [each for each in self._watched if each.deadline <= now]:
            limited.overdue(now)
        if self._watched:
            asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)
        else:
            self._ticking = False
