"""When a child that has died is started again. Pure."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that has lived this long has proved itself: its next death counts as the first."""


def deaths_in_a_row(before: int, *, lived_seconds: float) -> int:
    """The number of this death, after `before` others."""
    return 1 if lived_seconds >= STEADY_SECONDS else before + 1


def pause_seconds(deaths: int) -> float:
    """How long to wait after the n-th death in a row, so that a child that can't start does not eat the machine."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(deaths - 1, 16))
