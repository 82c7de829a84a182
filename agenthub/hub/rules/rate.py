"""How fast one connection may send: token buckets, and the patience with one that sends faster."""

from dataclasses import dataclass, field

WARNINGS = 3
WARNINGS_WITHIN_SECONDS = 60.0


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second, at most `burst` of them at once. It begins full."""

    rate: float
    burst: float
    tokens: float = field(default=-1.0)
    at: float = 0.0

    def take(self, now: float, amount: float = 1.0) -> float:
        """0 when `amount` was there and is taken; else the seconds until it is there, and nothing is taken."""
        if self.tokens < 0:
            self.tokens = self.burst
        else:
            self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.tokens >= amount:
            self.tokens -= amount
            return 0.0
        return (min(amount, self.burst) - self.tokens) / self.rate


@dataclass(slots=True)
class Patience:
    """Counts faults of one kind; it ends with the third within a minute. Faults closer together than `spaced` seconds
    are one: what was on its way already when the first was told of is no new fault."""

    most: int = WARNINGS
    within: float = WARNINGS_WITHIN_SECONDS
    spaced: float = 0.0
    times: list[float] = field(default_factory=list)

    def ends(self, now: float) -> bool:
        """Note one fault; whether it was one too many."""
        self.times = [each for each in self.times if now - each < self.within]
        if self.times and now - self.times[-1] < self.spaced:
            return False
        self.times.append(now)
        return len(self.times) >= self.most
