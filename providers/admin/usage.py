"""The ledger in the admin: to be looked at, never changed."""

from decimal import Decimal

from django.contrib import admin
from unfold.contrib.filters.admin import RangeDateFilter, RangeDateTimeFilter
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from agenthub.core.money import usd_text
from providers.models import DailyStats, HourlyUsage, UsageRecord
from providers.models.usage import UsageSums

NOTHING = "–"


def _usd(cost: Decimal | None) -> str:
    return NOTHING if cost is None else f"{usd_text(cost.quantize(Decimal('0.000001')))} USD"


def _mean_ms(total_us: int, count: int) -> str:
    return f"{total_us / count / 1000:.0f} ms" if count else NOTHING


class SumsAdmin(ReadOnlyAdmin):
    """What the sums have in common."""

    @display(description="prompt tokens")
    def prompt(self, row: UsageSums) -> int:
        """Tokens that went in."""
        return row.prompt_tokens

    @display(description="completion tokens")
    def completion(self, row: UsageSums) -> int:
        """Tokens that came out."""
        return row.completion_tokens

    @display(description="cost", ordering="cost_usd")
    def cost(self, row: UsageSums) -> str:
        """Of the requests that have a price."""
        return _usd(row.cost_usd)

    @display(description="mean latency")
    def latency(self, row: UsageSums) -> str:
        """Of the requests that ended well."""
        return _mean_ms(row.latency_us_sum, row.latency_count)

    @display(description="mean time to first token")
    def ttft(self, row: UsageSums) -> str:
        """Of the requests that had content."""
        return _mean_ms(row.ttft_us_sum, row.ttft_count)


@admin.register(HourlyUsage)
class HourlyUsageAdmin(SumsAdmin):
    """Usage by hour, backend, model and client key."""

    list_display = (
        "hour",
        "backend_id",
        "model",
        "client_key_id",
        "request_count",
        "error_count",
        "prompt",
        "completion",
        "cost",
        "latency",
        "ttft",
    )
    list_filter = (("hour", RangeDateTimeFilter),)
    search_fields = ("backend_id__exact", "client_key_id__exact")
    search_help_text = "Search by the id of a backend or client key."
    ordering = ("-hour",)


@admin.register(DailyStats)
class DailyStatsAdmin(SumsAdmin):
    """Usage by day and pool."""

    list_display = (
        "date",
        "pool",
        "request_count",
        "error_count",
        "prompt",
        "completion",
        "cost",
        "latency",
        "ttft",
        "unique_backends",
    )
    list_filter = (("date", RangeDateFilter),)
    ordering = ("-date", "pool")


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    """Single requests, as long as they are kept."""

    list_display = (
        "ended_at",
        "model",
        "backend_id",
        "status_label",
        "error_type",
        "attempts",
        "prompt",
        "completion",
        "cost",
        "latency",
        "ttft",
        "client_key_id",
    )
    list_filter = ("stream", "emergency", "estimated", ("ended_at", RangeDateTimeFilter))
    search_fields = ("id__exact", "backend_id__exact", "client_key_id__exact")
    search_help_text = "Search by the id of a request, a backend or a client key."
    ordering = ("-ended_at", "-id")

    @display(
        description="status", ordering="status", label={"good": "success", "client": "warning", "server": "danger"}
    )
    def status_label(self, record: UsageRecord) -> tuple[str, str]:
        """What the client got, in colour."""
        kind = "good" if 200 <= record.status < 300 else "client" if 400 <= record.status < 500 else "server"
        return kind, str(record.status)

    @display(description="prompt tokens")
    def prompt(self, record: UsageRecord) -> int:
        """Tokens that went in."""
        return record.prompt_tokens

    @display(description="completion tokens")
    def completion(self, record: UsageRecord) -> str:
        """Tokens that came out; ≈ where they are an estimate."""
        return f"{'≈ ' if record.estimated else ''}{record.completion_tokens}"

    @display(description="cost", ordering="cost_usd")
    def cost(self, record: UsageRecord) -> str:
        """By the prices of its mapping."""
        return _usd(record.cost_usd)

    @display(description="latency")
    def latency(self, record: UsageRecord) -> str:
        """From the first byte in to the last byte out."""
        return _mean_ms(record.latency_us, 1)

    @display(description="time to first token")
    def ttft(self, record: UsageRecord) -> str:
        """Until the first content."""
        return NOTHING if record.ttft_us is None else _mean_ms(record.ttft_us, 1)
