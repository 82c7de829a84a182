"""Sends no faster than the hub takes it, so that nothing is refused and the order stays."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARE = 0.9
"""Of what the hub allows: the two clocks are not the same."""


@dataclass(slots=True)
class _Bucket:
    rate: float
    burst: float
    tokens: float = 0.0
    at: float | None = None  # never used: it is full


class Pace:
    """One connection's buckets, by type of frame."""

    def __init__(self, rates: Mapping[str, Mapping[str, Any]]) -> None:
        self._buckets = {
            kind: _Bucket(float(each["per_second"]) * SHARE, float(each["burst"]) * SHARE)
            for kind, each in rates.items()
        }

    async def wait(self, kind: str) -> None:
        """Until one more of this type may go; it counts as sent."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            return
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            grown = bucket.burst if bucket.at is None else bucket.tokens + (now - bucket.at) * bucket.rate
            bucket.tokens = min(bucket.burst, grown)
            bucket.at = now
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return
            await asyncio.sleep((1 - bucket.tokens) / bucket.rate)
