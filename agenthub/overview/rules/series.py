"""Points of a chart: one per bucket of time, also where nothing happened. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypedDict

from agenthub.core.money import usd_text

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a chart looks, and in which steps."""

    name: str
    bucket: timedelta
    count: int  # buckets, the running one included

    def starts(self, now: datetime) -> list[datetime]:
        """The beginnings of its buckets in UTC, oldest first."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        running = midnight + (now - midnight) // self.bucket * self.bucket
        return [running - self.bucket * back for back in reversed(range(self.count))]


SPANS = {
    span.name: span
    for span in (Span("1h", MINUTE, 60), Span("24h", HOUR, 24), Span("7d", HOUR, 168), Span("30d", DAY, 30))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What was counted in one bucket."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = None  # USD; None where nothing had a price
    latency_us_total: int = 0
    latencies: int = 0
    ttft_us_total: int = 0
    ttfts: int = 0


class Point(TypedDict):
    """One bucket of a chart. Means are None where there was nothing to measure."""

    at: str  # ISO 8601, the beginning of the bucket
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: str | None
    latency_ms: float | None
    ttft_ms: float | None


def points(starts: Iterable[datetime], sums: dict[datetime, Sums]) -> list[Point]:
    """A point for every bucket that begins at `starts`; `sums` lacks those in which nothing happened."""
    return [_point(start, sums.get(start, Sums())) for start in starts]


def _point(start: datetime, sums: Sums) -> Point:
    return {
        "at": start.isoformat(),
        "requests": sums.requests,
        "errors": sums.errors,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "cost_usd": None if sums.cost is None else usd_text(sums.cost),
        "latency_ms": _mean_ms(sums.latency_us_total, sums.latencies),
        "ttft_ms": _mean_ms(sums.ttft_us_total, sums.ttfts),
    }


def _mean_ms(total_us: int, count: int) -> float | None:
    return round(total_us / count / 1000, 3) if count else None
