"""Reads of the ledger: sums by hour, by day and in all. Large tables are never counted row by row."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypedDict, TypeVar

from django.db.models import F, Min, QuerySet, Sum
from django.db.models.functions import Coalesce

from agenthub.core.money import PICODOLLAR_DIGITS
from providers.models import DailyStats, HourlyUsage, JournalPosition, UsageRecord

PROMPT = F("input_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
COMPLETION = F("output_tokens") + F("reasoning_tokens")

T = TypeVar("T")

_IDS_PER_STATEMENT = 500


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


def spent_by_key(since: Mapping[str, datetime]) -> dict[str, int]:
    """What each client key has spent, in picodollars, by its id: the priced requests that began in or after its hour.

    `since` gives each key id the whole hour (UTC) to begin with. A key that has spent nothing is not in the answer.
    """
    by_start: dict[datetime, list[str]] = defaultdict(list)
    for key_id, start in since.items():
        by_start[start].append(key_id)
    spent: dict[str, int] = {}
    for start, key_ids in by_start.items():
        for chunk in _chunks(key_ids):
            sums = (
                HourlyUsage.objects.filter(client_key_id__in=chunk, hour__gte=start, cost_usd__isnull=False)
                .order_by()
                .values_list("client_key_id")
                .annotate(cost=Sum("cost_usd"))
            )
            spent |= {key_id: int(cost.scaleb(PICODOLLAR_DIGITS)) for key_id, cost in sums}
    return spent


def journal_positions(segment_ids: Iterable[str]) -> dict[str, tuple[int, bool]]:
    """How far each segment is in the database, in bytes, and whether it is closed; unknown ones are not there."""
    return {
        segment_id: (position, closed)
        for chunk in _chunks(segment_ids)
        for segment_id, position, closed in JournalPosition.objects.filter(segment_id__in=chunk).values_list(
            "segment_id", "position", "closed"
        )
    }


def recorded_ids(record_ids: Iterable[str]) -> set[str]:
    """Those of the ids that have a usage record."""
    return {
        record_id
        for chunk in _chunks(record_ids)
        for record_id in UsageRecord.objects.filter(id__in=chunk).order_by().values_list("id", flat=True)
    }


def _chunks(values: Iterable[T]) -> Iterator[Sequence[T]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _IDS_PER_STATEMENT)):
        yield chunk
