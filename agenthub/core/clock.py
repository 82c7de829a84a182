"""The two clocks of the house, named, so that whoever needs the time says which one.

Rules never call these: they take the time as an argument.
"""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The wall clock as an aware datetime in UTC: for rows, pages and other machines."""
    return datetime.now(UTC)


def epoch_seconds() -> float:
    """The wall clock in seconds since 1970: comparable between processes, jumps when someone sets the clock."""
    return time.time()


def epoch_microseconds() -> int:
    """The wall clock in whole microseconds since 1970, the unit of the journal."""
    return time.time_ns() // 1_000


monotonic_seconds = time.monotonic
"""A clock that only goes forward, comparable within this process: for durations and limits. A name and no function of
its own, since it is asked many times on the way of a request."""
