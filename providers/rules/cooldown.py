"""How long a backend is left alone, after a 429 and after failures."""

GIVEN_CAP_SECONDS = 3600.0
"""Times given by an upstream are honoured up to one hour."""

FAILURE_BASE_SECONDS = 5.0
FAILURE_CAP_SECONDS = 15.0
"""Failure cooldowns start at 5 s and double to 15 s, so that a recovered backend is back within seconds."""

FAILURES_IN_A_ROW = 3
WINDOW_SECONDS = 60.0
WINDOW_LEAST_REQUESTS = 5
WINDOW_LEAST_SUCCESS_RATE = 0.5


def backoff_seconds(count: int, *, base: float, cap: float, exponential: bool) -> float:
    """The backoff of the `count`-th 429 in a row: base × 2^(count−1), or base × count; nothing for a count of 0."""
    if count <= 0:
        return 0.0
    # The exponent is bounded because a float overflows long after the cap has won.
    grown = base * 2.0 ** min(count - 1, 40) if exponential else base * count
    return min(cap, grown)


def cooldown_seconds(
    count: int, *, base: float, cap: float, exponential: bool = True, given: float | None = None, jitter: float = 0.0
) -> float:
    """Seconds to leave a backend alone after its `count`-th 429 in a row.

    With a time `given` by the upstream: the later of that time and the backoff of the previous count. `jitter` between
    0 and 1 adds up to 10 %; it only ever adds, so that nobody is asked before the time that it gave.
    """
    if given is None:
        seconds = backoff_seconds(count, base=base, cap=cap, exponential=exponential)
    else:
        previous = backoff_seconds(count - 1, base=base, cap=cap, exponential=exponential)
        seconds = max(min(given, GIVEN_CAP_SECONDS), previous)
    return seconds * (1.0 + 0.1 * jitter)


def failure_cooldown_seconds(previous: int) -> float:
    """Seconds of a cooldown after failures (5xx, connection errors, timeouts), by how many came before it in a row."""
    return min(FAILURE_CAP_SECONDS, FAILURE_BASE_SECONDS * 2.0 ** min(previous, 8))


def failures_cool(*, in_a_row: int, requests: int, successes: int) -> bool:
    """Whether failures cool the backend: three in a row, or under half of at least five requests in 60 s succeeded."""
    if in_a_row >= FAILURES_IN_A_ROW:
        return True
    return requests >= WINDOW_LEAST_REQUESTS and successes < requests * WINDOW_LEAST_SUCCESS_RATE
