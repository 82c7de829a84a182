"""Identifiers that say what they name."""

import os
import random
import time

# Not for secrets, but unique between processes: seeded by the system, and anew after a fork.
_random = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def short_id(prefix: str) -> str:
    """`prefix_` and 12 random hex characters, e.g. `bkd_9f86d081884c`; for rows that people look at."""
    return f"{prefix}_{os.urandom(6).hex()}"


def request_id() -> str:
    """`req_` and 32 hex characters: 48 bits of milliseconds, then 80 random bits.

    It is the primary key of the request's usage record. Ids of neighbouring requests are neighbours in the index, and
    80 random bits per millisecond make a collision, which would silently merge two records, no practical matter.
    """
    return f"req_{time.time_ns() // 1_000_000:012x}{_random.getrandbits(80):020x}"
