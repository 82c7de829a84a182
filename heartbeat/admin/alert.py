"""Alerts in the admin."""

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from heartbeat.models import Alert
from heartbeat.services.alerts import alert_acknowledge, alert_close


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What people should know of, and whether somebody has seen it."""

    list_display = (
        "last_seen_at",
        "severity_label",
        "state_label",
        "rule",
        "source",
        "summary",
        "count",
        "started_at",
        "acknowledged_by",
    )
    list_filter = ("state", "severity", "rule")
    search_fields = ("source", "summary", "scope")
    search_help_text = "Search by what it is about, or by its words."
    ordering = ("-last_seen_at", "-id")
    fields = (
        "summary",
        ("rule", "severity", "state"),
        ("source", "scope"),
        ("started_at", "last_seen_at", "count"),
        ("acknowledged_by", "acknowledged_at"),
        ("resolved_by", "resolved_at"),
        "details",
    )
    actions = ("acknowledge", "resolve")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may change alerts may acknowledge and resolve them; there is nothing else to change."""
        return bool(request.user.has_perm("heartbeat.change_alert"))

    @display(
        description="severity",
        ordering="severity",
        label={"info": "info", "warning": "warning", "critical": "danger"},
    )
    def severity_label(self, alert: Alert) -> str:
        """How bad it is, in colour."""
        return alert.severity

    @display(
        description="state",
        ordering="state",
        label={"firing": "danger", "acknowledged": "warning", "resolved": "success"},
    )
    def state_label(self, alert: Alert) -> str:
        """Where it stands, in colour."""
        return alert.state

    @admin.action(description="Acknowledge", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Note that they were seen."""
        self._each(request, queryset, alert_acknowledge, "acknowledged")

    @admin.action(description="Resolve", permissions=["operate"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Say that they are over."""
        self._each(request, queryset, alert_close, "resolved")

    def _each(self, request: HttpRequest, queryset: QuerySet[Alert], service: Callable[..., bool], done: str) -> None:
        changed = sum(service(alert_id=alert.pk, by=request.user.get_username()) for alert in queryset)
        self.message_user(request, f"{changed} alerts are now {done}.")
