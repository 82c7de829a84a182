"""The emergency channel: which backends may be tried once more when every pool is exhausted, and how often."""

from collections.abc import Sequence

from providers.rules.table import Candidate
from proxy.rules.routing import PassedOver, Reason

MOST_TRIES = 3


def emergency_per_minute(rpm_limit: int, fraction: float) -> float:
    """Tries per minute that one backend's emergency bucket allows (also its capacity)."""
    return max(1.0, rpm_limit * fraction)


def emergency_order(passed: Sequence[PassedOver]) -> list[Candidate]:
    """Who may be tried: those out of requests or tokens per minute first, then those that cool, the soonest end first.

    Backends in error, down, busy, or that have failed for this very request are not worth a throttled try.
    """
    rank = {Reason.NO_REQUESTS: 0, Reason.NO_TOKENS: 0, Reason.COOLING: 1, Reason.HALF_OPEN: 1}
    eligible = [each for each in passed if each.reason in rank]
    eligible.sort(key=lambda each: (rank[each.reason], each.ready_at or 0.0))
    return [each.candidate for each in eligible]
