"""Reads of the ledger: sums by hour, by day and in all. Large tables are never counted row by row."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict

from django.db.models import F, Min, QuerySet, Sum
from django.db.models.functions import Coalesce

from providers.models import DailyStats, HourlyUsage

PROMPT = F("input_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
COMPLETION = F("output_tokens") + F("reasoning_tokens")


class Totals(TypedDict):
    """Everything since the beginning."""

    total_requests: int
    total_errors: int
    total_tokens: int
    total_prompt_tokens: int
    total_completion_tokens: int
    total_cost: Decimal


def usage_total() -> Totals:
    """The sums of all days."""
    sums: dict[str, Any] = DailyStats.objects.aggregate(
        requests=Coalesce(Sum("request_count"), 0),
        errors=Coalesce(Sum("error_count"), 0),
        prompt=Coalesce(Sum(PROMPT), 0),
        completion=Coalesce(Sum(COMPLETION), 0),
        cost=Sum("cost_usd"),
    )
    return {
        "total_requests": sums["requests"],
        "total_errors": sums["errors"],
        "total_tokens": sums["prompt"] + sums["completion"],
        "total_prompt_tokens": sums["prompt"],
        "total_completion_tokens": sums["completion"],
        "total_cost": sums["cost"] if sums["cost"] is not None else Decimal(0),
    }


def usage_by_hour(*, now: datetime, hours: int, backend_id: str = "") -> QuerySet[HourlyUsage, dict[str, Any]]:
    """Sums by hour, backend and model over all client keys, newest first; `hours` counts the running one."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    rows = HourlyUsage.objects.filter(hour__gte=first)
    if backend_id:
        rows = rows.filter(backend_id=backend_id)
    return (
        rows.values("hour", "backend_id", "model")
        .annotate(
            id=Min("id"),
            prompt=Sum(PROMPT),
            completion=Sum(COMPLETION),
            requests=Sum("request_count"),
            errors=Sum("error_count"),
            cost=Sum("cost_usd"),
            latency_us=Sum("latency_us_sum"),
            latencies=Sum("latency_count"),
            ttft_us=Sum("ttft_us_sum"),
            ttfts=Sum("ttft_count"),
        )
        .order_by("-hour", "backend_id", "model")
    )


def usage_by_day(*, now: datetime, days: int) -> QuerySet[DailyStats]:
    """Sums by day (UTC) and pool, newest first; `days` counts today."""
    first = now.date() - timedelta(days=days - 1)
    return DailyStats.objects.filter(date__gte=first).order_by("-date", "pool")


def usage_of_key(*, client_key_id: str, now: datetime, days: int) -> QuerySet[HourlyUsage, dict[str, Any]]:
    """The sums of one client key by day (UTC) and model, newest first; `days` counts today."""
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    return (
        HourlyUsage.objects.filter(client_key_id=client_key_id, hour__gte=first)
        .values("hour__date", "model")
        .annotate(
            prompt=Sum(PROMPT),
            completion=Sum(COMPLETION),
            requests=Sum("request_count"),
            errors=Sum("error_count"),
            cost=Sum("cost_usd"),
        )
        .order_by("-hour__date", "model")
    )
