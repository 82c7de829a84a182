"""Successes and failures of the last seconds."""

from collections import deque

BUCKETS = 12


class OutcomeWindow:
    """Counts outcomes over `seconds`, in twelve steps, so that its size does not grow with the traffic."""

    __slots__ = ("_failures", "_seconds", "_steps", "_successes")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._steps: deque[list[float]] = deque()  # [start, successes, failures]
        self._successes = self._failures = 0

    def add(self, now: float, *, success: bool) -> None:
        """Count one outcome at `now` (seconds of a clock that only goes forward)."""
        if not self._steps or now - self._steps[-1][0] >= self._seconds / BUCKETS:
            self._expire(now)
            self._steps.append([now, 0, 0])
        if success:
            self._steps[-1][1] += 1
            self._successes += 1
        else:
            self._steps[-1][2] += 1
            self._failures += 1

    def counts(self, now: float) -> tuple[int, int]:
        """(requests, successes) of the window that ends at `now`."""
        self._expire(now)
        return self._successes + self._failures, self._successes

    def _expire(self, now: float) -> None:
        while self._steps and now - self._steps[0][0] >= self._seconds:
            _, successes, failures = self._steps.popleft()
            self._successes -= int(successes)
            self._failures -= int(failures)
