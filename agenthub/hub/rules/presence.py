"""Whether an agent is there, by its lease and its last beat."""

from datetime import datetime, timedelta

HEARTBEAT_SECONDS = 25
LEASE_SECONDS = 60
STALE_SECONDS = HEARTBEAT_SECONDS + 10
"""One beat was missed, with some time for its way."""

LOST_SECONDS = 2 * HEARTBEAT_SECONDS + 5
"""Two were missed: the connection is dead."""

STATES = ("online", "busy", "stale", "offline")


def presence(*, lease_until: datetime | None, beat_at: datetime | None, status: str, now: datetime) -> str:
    """`online`, `busy`, `stale` or `offline`."""
    if lease_until is None or beat_at is None or lease_until <= now:
        return "offline"
    if now - beat_at > timedelta(seconds=STALE_SECONDS):
        return "stale"
    return "busy" if status == "busy" else "online"
