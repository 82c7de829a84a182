"""The log of cooldowns in the admin."""

from django.contrib import admin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from providers.models import CooldownEvent


@admin.register(CooldownEvent)
class CooldownEventAdmin(ReadOnlyAdmin):
    """When which backend was left alone, for how long, and why."""

    list_display = (
        "started_at",
        "backend_name",
        "reason_label",
        "consecutive_count",
        "seconds",
        "ended_at",
        "response_summary",
    )
    list_filter = ("reason", ("started_at", RangeDateTimeFilter))
    search_fields = ("=backend_id", "backend_name")
    search_help_text = "Search by the id or name of a backend."
    ordering = ("-started_at", "-id")

    @display(
        description="reason",
        ordering="reason",
        label={"rate_limited": "warning", "failures": "danger"},
    )
    def reason_label(self, event: CooldownEvent) -> tuple[str, str]:
        """Why, in colour."""
        return event.reason, event.get_reason_display()

    @display(description="seconds", ordering="cooldown_seconds")
    def seconds(self, event: CooldownEvent) -> str:
        """Its planned length."""
        return f"{event.cooldown_seconds:.1f}"
