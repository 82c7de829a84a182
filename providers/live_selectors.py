"""Reads of the last minute out of the records, for pages that show what happens now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum, Window
from django.db.models.functions import Coalesce, RowNumber

from providers.models import DailyStats, UsageRecord
from providers.rules.usage import BROKEN, CLIENT_GONE
from providers.usage_selectors import COMPLETION, PROMPT

ERRORS = (Q(status__gte=400) & ~Q(status=CLIENT_GONE)) | Q(error_type__in=BROKEN)
"""`providers.rules.usage.is_error` as a condition."""

WELL_ENDED = ~ERRORS & ~Q(status=CLIENT_GONE)

WINDOW_SECONDS = 60
_PERCENTS = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds; None where there was nothing to measure."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class LiveUsage:
    """The requests that ended in the last minute, and the cost of today (UTC)."""

    requests_per_minute: int
    errors_per_minute: int
    error_rate: float | None  # 0 to 1; None without requests
    tokens_per_minute: int
    cost_today_usd: Decimal | None  # None where nothing of today has a price
    latency_ms: Percentiles  # of the requests that ended well
    ttft_ms: Percentiles  # of those that had content


def live_usage(now: datetime) -> LiveUsage:
    """The figures of the minute before `now`; records arrive about half a second after their request."""
    minute = _minute(now)
    sums: dict[str, Any] = minute.aggregate(
        requests=Count("id"),
        errors=Count("id", filter=ERRORS),
        tokens=Coalesce(Sum(PROMPT + COMPLETION), 0),
        well_ended=Count("id", filter=WELL_ENDED),
        with_content=Count("ttft_us"),
    )
    return LiveUsage(
        requests_per_minute=sums["requests"],
        errors_per_minute=sums["errors"],
        error_rate=sums["errors"] / sums["requests"] if sums["requests"] else None,
        tokens_per_minute=sums["tokens"],
        cost_today_usd=DailyStats.objects.filter(date=now.date()).aggregate(cost=Sum("cost_usd"))["cost"],
        latency_ms=_percentiles(minute.filter(WELL_ENDED), "latency_us", sums["well_ended"]),
        ttft_ms=_percentiles(minute.filter(ttft_us__isnull=False), "ttft_us", sums["with_content"]),
    )


def live_usage_by_backend(now: datetime) -> dict[str, dict[str, int]]:
    """`requests`, `errors` and `tokens` of the last minute by the id of the backend that answered or was tried last."""
    rows = (
        _minute(now)
        .exclude(backend_id="")
        .values("backend_id")
        .annotate(requests=Count("id"), errors=Count("id", filter=ERRORS), tokens=Sum(PROMPT + COMPLETION))
        .order_by("backend_id")
    )
    return {row.pop("backend_id"): row for row in rows}


def _minute(now: datetime) -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(
        ended_at__gt=now - timedelta(seconds=WINDOW_SECONDS), ended_at__lte=now
    ).order_by()


def _percentiles(requests: QuerySet[UsageRecord], column: str, count: int) -> Percentiles:
    """The nearest-rank percentiles of a column of microseconds over `count` rows."""
    ranks = [-(-percent * count // 100) for percent in _PERCENTS]
    ranked = requests.annotate(rank=Window(RowNumber(), order_by=F(column).asc())).filter(rank__in=ranks)
    by_rank = dict(ranked.values_list("rank", column))
    # A request that arrived between the count and this reading moves the ranks by one at most.
    p50, p95, p99 = (by_rank[rank] / 1000 if rank in by_rank else None for rank in ranks)
    return Percentiles(p50, p95, p99)
