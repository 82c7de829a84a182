"""How far one receiver may be ahead of its acknowledgements."""

from collections import deque
from dataclasses import dataclass, field

MOST_MESSAGES = 256
MOST_BYTES = 1024 * 1024
STUCK_SECONDS = 30.0
PAGE = 200


class NeverSent(Exception):
    """An acknowledgement of what was not sent."""


@dataclass(slots=True)
class Window:
    """What was sent and not acknowledged. `sent` and `acked` are numbers of the inbox, `head` is its newest."""

    sent: int = 0
    acked: int = 0
    head: int = 0
    bytes: int = 0
    moved_at: float = 0.0
    _sizes: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        """Whether one more may go out."""
        return len(self._sizes) < MOST_MESSAGES and self.bytes < MOST_BYTES

    @property
    def is_behind(self) -> bool:
        """Whether the inbox has more than what was sent."""
        return self.sent < self.head

    @property
    def room(self) -> int:
        """How many more may go out at most."""
        return MOST_MESSAGES - len(self._sizes) if self.bytes < MOST_BYTES else 0

    def starts(self, after: int, *, head: int, now: float) -> None:
        """Begin after a number of the inbox."""
        self.sent = self.acked = after
        self.head = max(head, after)
        self.bytes = 0
        self.moved_at = now
        self._sizes.clear()

    def sends(self, seq: int, size: int, *, now: float) -> None:
        """One goes out."""
        if not self._sizes:
            self.moved_at = now
        self.sent = seq
        self._sizes.append((seq, size))
        self.bytes += size

    def skips(self, seq: int) -> None:
        """Numbers up to this one are told as a gap."""
        self.sent = max(self.sent, seq)

    def acks(self, seq: int, *, now: float) -> bool:
        """All up to a number were received; whether that was news. Raises NeverSent."""
        if seq > self.sent:
            raise NeverSent(seq)
        if seq <= self.acked:
            return False
        self.acked = seq
        self.moved_at = now
        while self._sizes and self._sizes[0][0] <= seq:
            self.bytes -= self._sizes.popleft()[1]
        return True

    def is_stuck(self, now: float) -> bool:
        """Whether it is full and nothing was acknowledged for too long."""
        return not self.is_open and now - self.moved_at > STUCK_SECONDS
