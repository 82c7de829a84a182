"""Reads across all parts for the dashboard."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import BigIntegerField, Count, F, Func, Sum

from agenthub.overview.rules.series import DAY, HOUR, MINUTE, SPANS, Point, Span, Sums, points
from providers.live_selectors import ERRORS, WELL_ENDED, LiveUsage, live_usage, live_usage_by_backend
from providers.models import BackendHealth, CooldownEvent, DailyStats, HourlyUsage, UsageRecord
from providers.selectors import cooldown_events
from providers.usage_selectors import COMPLETION, PROMPT, Totals, usage_total

EVENTS_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one update of the dashboard reads of the database: true for all processes of the hub."""

    live: LiveUsage
    by_backend: Mapping[str, Mapping[str, int]]
    total: Totals
    health: Mapping[str, BackendHealth]
    cooldowns: tuple[CooldownEvent, ...]


def dashboard_figures(now: datetime) -> Figures:
    """The figures at `now`, in a handful of queries that do not grow with the history."""
    return Figures(
        live=live_usage(now),
        by_backend=live_usage_by_backend(now),
        total=usage_total(),
        health={health.pk: health for health in BackendHealth.objects.all()},
        cooldowns=tuple(cooldown_events()[:EVENTS_SHOWN]),
    )


def usage_series(name: str, now: datetime) -> list[Point]:
    """The points of the span `name` of SPANS, oldest first; the last is of the running bucket."""
    span = SPANS[name]
    return points(span.starts(now), _READERS[span.bucket](span, now))


class EpochMinute(Func):
    """The whole minutes since 1970 of a time, worked out by the database itself."""

    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Its times are texts, which Django's own truncation would hand to Python one by one."""
        # Two rounds of formatting, that of the template and that of the parameters, leave strftime its %s.
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / 60"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """By its epoch."""
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / 60)::bigint"
        return self.as_sql(compiler, connection, template=template, **context)


def _by_minute(span: Span, now: datetime) -> dict[datetime, Sums]:
    recent = UsageRecord.objects.filter(ended_at__gte=span.starts(now)[0]).order_by()
    rows = recent.annotate(start=EpochMinute("ended_at")).values("start").annotate(**_OF_RECORDS)
    return _summed(rows, lambda minute: datetime.fromtimestamp(minute * 60, tz=UTC))


def _by_hour(span: Span, now: datetime) -> dict[datetime, Sums]:
    recent = HourlyUsage.objects.filter(hour__gte=span.starts(now)[0]).order_by()
    return _summed(recent.values(start=F("hour")).annotate(**_OF_SUMS), lambda hour: hour)


def _by_day(span: Span, now: datetime) -> dict[datetime, Sums]:
    recent = DailyStats.objects.filter(date__gte=span.starts(now)[0].date()).order_by()
    rows = recent.values(start=F("date")).annotate(**_OF_SUMS)
    return _summed(rows, lambda date: datetime.combine(date, time.min, UTC))


_READERS = {MINUTE: _by_minute, HOUR: _by_hour, DAY: _by_day}

_OF_RECORDS: dict[str, Any] = {
    "requests": Count("id"),
    "errors": Count("id", filter=ERRORS),
    "prompt_tokens": Sum(PROMPT),
    "completion_tokens": Sum(COMPLETION),
    "cost": Sum("cost_usd"),
    "latency_us_total": Sum("latency_us", filter=WELL_ENDED),
    "latencies": Count("id", filter=WELL_ENDED),
    "ttft_us_total": Sum("ttft_us"),
    "ttfts": Count("ttft_us"),
}

_OF_SUMS: dict[str, Any] = {
    "requests": Sum("request_count"),
    "errors": Sum("error_count"),
    "prompt_tokens": Sum(PROMPT),
    "completion_tokens": Sum(COMPLETION),
    "cost": Sum("cost_usd"),
    "latency_us_total": Sum("latency_us_sum"),
    "latencies": Sum("latency_count"),
    "ttft_us_total": Sum("ttft_us_sum"),
    "ttfts": Sum("ttft_count"),
}


def _summed(rows: Iterable[dict[str, Any]], start_of: Callable[[Any], datetime]) -> dict[datetime, Sums]:
    return {start_of(row.pop("start")): Sums(cost=row.pop("cost"), **_whole(row)) for row in rows}


def _whole(row: dict[str, Any]) -> dict[str, int]:
    # A sum over nothing is null, and PostgreSQL's sums of large integers are decimals.
    return {name: int(value or 0) for name, value in row.items()}
