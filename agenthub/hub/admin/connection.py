"""Connections of agents in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from agenthub.hub.models import AgentSession
from agenthub.hub.rules.presence import presence


@admin.register(AgentSession)
class ConnectionAdmin(ReadOnlyAdmin):
    """The newest connection of each agent, and whether it is there."""

    list_display = ("agent", "state", "software", "legacy", "load", "task_id", "address", "connected_at", "beat_at")
    list_filter = ("legacy",)
    search_fields = ("agent__username", "agent__display_name", "software", "address")
    search_help_text = "Search by agent, software or address."
    ordering = ("-beat_at",)
    fields = (
        ("agent", "state"),
        ("connected_at", "beat_at", "lease_until"),
        ("software", "legacy", "address"),
        ("load", "task_id"),
        "capabilities",
        "commands",
    )
    readonly_fields = ("state",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentSession]:
        """Each with its agent."""
        rows: QuerySet[AgentSession] = super().get_queryset(request).select_related("agent")
        return rows

    @display(
        description="state",
        label={"online": "success", "busy": "info", "stale": "warning", "offline": "danger"},
    )
    def state(self, row: AgentSession) -> str:
        """Whether it is there at this moment."""
        return presence(lease_until=row.lease_until, beat_at=row.beat_at, status=row.status, now=now())
