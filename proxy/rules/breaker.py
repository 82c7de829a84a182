"""When to ask something again that has not answered."""


class Breaker:
    """Open for `seconds` after a failure, then closed again by one trial that succeeds.

    Times are seconds of a clock that only goes forward.
    """

    __slots__ = ("_closed_at", "_seconds", "_trial", "is_open")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._closed_at = 0.0  # from then on one trial may be made
        self._trial = False
        self.is_open = False  # an outage is known and not over

    def allows(self, now: float) -> bool:
        """Whether to ask now. During an outage a True is the one trial: say how it went, or `abandoned`."""
        if not self.is_open:
            return True
        if self._trial or now < self._closed_at:
            return False
        self._trial = True
        return True

    def succeeded(self) -> bool:
        """It has answered; True if that ended an outage."""
        ended, self.is_open, self._trial = self.is_open, False, False
        return ended

    def failed(self, now: float) -> bool:
        """It has not answered; True if that began an outage."""
        began, self.is_open, self._trial = not self.is_open, True, False
        self._closed_at = now + self._seconds
        return began

    def abandoned(self) -> None:
        """Nobody waited for the answer; the next one may try."""
        self._trial = False
