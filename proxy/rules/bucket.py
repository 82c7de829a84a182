"""The token bucket: continuous refill, no background work. The oracle of every implementation of it."""

# Tokens are floats; a token that is this close to whole counts as whole, so that waiting exactly the time that
# `seconds_until` gives is always long enough.
EPSILON = 1e-6


def refilled(tokens: float, *, elapsed_seconds: float, per_minute: float, capacity: float) -> float:
    """Tokens after `elapsed_seconds` of refill at `per_minute`, never above `capacity`, never fewer by a clock jump."""
    return min(capacity, tokens + max(0.0, elapsed_seconds) * per_minute / 60.0)


def has(tokens: float, need: float = 1.0) -> bool:
    """Whether `need` tokens may be taken."""
    return tokens + EPSILON >= need


def seconds_until(tokens: float, *, per_minute: float, need: float = 1.0) -> float:
    """Seconds until `need` tokens are there; 0 if they are."""
    missing = need - tokens
    return 0.0 if missing <= EPSILON else missing * 60.0 / per_minute
