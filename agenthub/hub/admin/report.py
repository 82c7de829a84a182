"""Reports of agents in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from agenthub.hub.admin.names import named
from agenthub.hub.models import AgentLog

LONGEST_SHOWN = 200


@admin.register(AgentLog)
class ReportAdmin(ReadOnlyAdmin):
    """What agents report."""

    list_display = ("created_at", "agent_shown", "level_label", "content_shown")
    list_filter = ("level",)
    search_fields = ("content", "=agent_id")
    search_help_text = "Search by words, or by the number of an agent."
    ordering = ("-id",)
    date_hierarchy = None
    fields = ("created_at", "agent_shown", "level", "content", "fields_shown")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentLog]:
        """Each with the name of its agent."""
        return named(super().get_queryset(request), agent_name="agent_id")

    @display(description="agent", ordering="agent_id")
    def agent_shown(self, row: AgentLog) -> str:
        """Its name."""
        return getattr(row, "agent_name", None) or str(row.agent_id)

    @display(
        description="level",
        ordering="level",
        label={"INFO": "info", "SUCCESS": "success", "WARNING": "warning", "ERROR": "danger"},
    )
    def level_label(self, row: AgentLog) -> str:
        """How much it matters, in colour."""
        return row.level

    @display(description="content")
    def content_shown(self, row: AgentLog) -> str:
        """Its beginning."""
        return row.content if len(row.content) <= LONGEST_SHOWN else row.content[:LONGEST_SHOWN] + "…"

    @display(description="fields")
    def fields_shown(self, row: AgentLog) -> str:
        """What came with it, as JSON."""
        return row.fields or "none"
