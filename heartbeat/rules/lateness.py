"""When a component counts as late, and how all of them together are. Pure."""

from collections.abc import Iterable
from enum import StrEnum

TIMEOUT = "heartbeat timeout"
MOST_ERRORS = 10
LONGEST_TEXT = 300
INTERVAL_SECONDS = 30.0
STALE_FACTOR = 2.0


class ComponentStatus(StrEnum):
    """How a component is."""

    NEW = "new"  # it has not beaten yet
    HEALTHY = "healthy"
    LATE = "late"
    ERROR = "error"
    UNKNOWN = "unknown"  # its check can't be run here
    PAUSED = "paused"  # nobody looks


class Overall(StrEnum):
    """How all components together are."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ERROR = "error"
    UNKNOWN = "unknown"


SETTLED = (ComponentStatus.ERROR, ComponentStatus.PAUSED)
"""What the clock does not change."""


def expired(
    status: ComponentStatus, *, age_seconds: float, interval_seconds: float, stale_factor: float
) -> ComponentStatus:
    """What has become of a component that was last heard of `age_seconds` ago; on time to the second is not late."""
    if status in SETTLED:
        return status
    if age_seconds > stale_factor * interval_seconds:
        return ComponentStatus.ERROR
    return ComponentStatus.LATE if age_seconds > interval_seconds else status


def overall(statuses: Iterable[ComponentStatus]) -> Overall:
    """How all components together are. What is paused does not count, and of what is new nothing is known."""
    found = set(statuses) - {ComponentStatus.PAUSED}
    if ComponentStatus.ERROR in found:
        return Overall.ERROR
    if ComponentStatus.LATE in found:
        return Overall.DEGRADED
    return Overall.HEALTHY if found == {ComponentStatus.HEALTHY} else Overall.UNKNOWN
