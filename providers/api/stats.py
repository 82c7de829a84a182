"""The management API of usage sums and of the log of cooldowns."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, number_asked, page_asked, text_asked
from agenthub.core.clock import utc_now
from agenthub.core.serializer_fields import UsdSerializerField
from providers.api.serializers import CooldownAnswer
from providers.models import CooldownEvent, DailyStats, HourlyUsage
from providers.selectors import cooldown_events
from providers.usage_selectors import usage_by_day, usage_by_hour, usage_total

LONGEST_HOURS = 24 * 366 * 5
LONGEST_DAYS = 366 * 20
_BACKEND = Query("backend_id", help="Only those of this backend.")


class TotalAnswer(serializers.Serializer[Any]):
    """Everything since the beginning."""

    total_requests = serializers.IntegerField()
    total_errors = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    total_prompt_tokens = serializers.IntegerField()
    total_completion_tokens = serializers.IntegerField()
    total_cost = UsdSerializerField(help_text="USD, of the requests that have a price.")


class TotalView(ManagementView):
    """The grand total."""

    permission_model = DailyStats
    operations: ClassVar = {"get": Operation("stats_total", "Usage in all", answer=TotalAnswer)}

    def get(self, _request: Request) -> Response:
        """Answer it."""
        return Response(TotalAnswer(usage_total()).data)


class HourlyAnswer(serializers.Serializer[Any]):
    """One hour of one model at one backend."""

    id = serializers.CharField()
    backend_id = serializers.CharField()
    model = serializers.CharField()
    prompt_tokens = serializers.IntegerField(source="prompt")
    completion_tokens = serializers.IntegerField(source="completion")
    total_tokens = serializers.SerializerMethodField()
    cost = UsdSerializerField(allow_null=True, help_text="USD; null where no request had a price.")
    request_count = serializers.IntegerField(source="requests")
    error_count = serializers.IntegerField(source="errors")
    avg_latency_ms = serializers.SerializerMethodField(help_text="Null where no request ended well.")
    ttft_ms = serializers.SerializerMethodField(help_text="Mean time to the first content; null without any.")
    hour_bucket = serializers.DateTimeField(source="hour")

    def get_total_tokens(self, row: dict[str, Any]) -> int:
        """Prompt and completion."""
        total: int = row["prompt"] + row["completion"]
        return total

    def get_avg_latency_ms(self, row: dict[str, Any]) -> float | None:
        """The mean of the requests that ended well."""
        return _mean_ms(row["latency_us"], row["latencies"])

    def get_ttft_ms(self, row: dict[str, Any]) -> float | None:
        """The mean of the requests that had content."""
        return _mean_ms(row["ttft_us"], row["ttfts"])


def _mean_ms(sum_us: int, count: int) -> float | None:
    return round(sum_us / count / 1000, 1) if count else None


class HourlyView(ManagementView):
    """Usage by hour."""

    permission_model = HourlyUsage
    operations: ClassVar = {
        "get": Operation(
            "stats_hourly",
            "Usage by hour, backend and model, newest first",
            answer=HourlyAnswer,
            many=True,
            query=(_BACKEND, Query("hours", int, "How many hours back, 168 unless told.")),
        )
    }

    def get(self, request: Request) -> Response:
        """Answer the hours asked for."""
        hours = number_asked(request, "hours", 168, at_least=1, at_most=LONGEST_HOURS)
        rows = usage_by_hour(now=utc_now(), hours=hours, backend_id=text_asked(request, "backend_id"))
        page = page_asked(request, rows, default_limit=10_000)
        return Response(HourlyAnswer(page.rows, many=True).data, headers=page.headers)


class DailyAnswer(serializers.ModelSerializer[DailyStats]):
    """One day of one pool."""

    total_requests = serializers.IntegerField(source="request_count")
    total_errors = serializers.IntegerField(source="error_count")
    total_tokens = serializers.IntegerField()
    total_cost = UsdSerializerField(source="cost_usd", allow_null=True, help_text="USD; null where none had a price.")

    class Meta:
        model = DailyStats
        fields = (
            "id",
            "date",
            "pool",
            "total_requests",
            "total_errors",
            "total_tokens",
            "total_cost",
            "unique_backends",
        )


class DailyView(ManagementView):
    """Usage by day."""

    permission_model = DailyStats
    operations: ClassVar = {
        "get": Operation(
            "stats_daily",
            "Usage by day and pool, newest first",
            answer=DailyAnswer,
            many=True,
            query=(Query("days", int, "How many days back, 30 unless told."),),
        )
    }

    def get(self, request: Request) -> Response:
        """Answer the days asked for."""
        days = number_asked(request, "days", 30, at_least=1, at_most=LONGEST_DAYS)
        page = page_asked(request, usage_by_day(now=utc_now(), days=days), default_limit=10_000)
        return Response(DailyAnswer(page.rows, many=True).data, headers=page.headers)


class CooldownView(ManagementView):
    """The log of cooldowns."""

    permission_model = CooldownEvent
    operations: ClassVar = {
        "get": Operation(
            "stats_cooldown", "Cooldowns, newest first", answer=CooldownAnswer, many=True, query=(_BACKEND,)
        )
    }

    def get(self, request: Request) -> Response:
        """Answer the newest, 50 unless told."""
        page = page_asked(request, cooldown_events(backend_id=text_asked(request, "backend_id")), default_limit=50)
        return Response(CooldownAnswer(page.rows, many=True).data, headers=page.headers)
