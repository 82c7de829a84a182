"""The audit trail in the admin."""

import auditlog.admin  # noqa: F401 - registers the class that this one replaces
from auditlog.filters import ResourceTypeFilter
from auditlog.models import LogEntry
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin

LONGEST_SHOWN = 300

admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    """Who changed what, when, from what to what."""

    list_display = ("timestamp", "who", "action_label", "content_type", "object_repr", "changed_fields")
    list_filter = ("action", ResourceTypeFilter)
    list_select_related = ("content_type", "actor")
    search_fields = ("object_repr", "actor__username")
    search_help_text = "Search by the name of the thing or of the person."
    ordering = ("-timestamp", "-id")
    fields = ("timestamp", "who", "action_label", "content_type", "object_repr", "object_pk", "remote_addr", "from_to")
    readonly_fields = fields

    @display(description="who")
    def who(self, entry: LogEntry) -> str:
        """The person, the API token, the command line, or AgentHub itself."""
        return _who(entry)

    @display(description="action", label={"create": "success", "update": "info", "delete": "danger"}, ordering="action")
    def action_label(self, entry: LogEntry) -> str:
        """What was done."""
        return str(entry.get_action_display())

    @display(description="fields")
    def changed_fields(self, entry: LogEntry) -> str:
        """The fields, without their values."""
        return ", ".join(entry.changes_dict)[:LONGEST_SHOWN]

    @display(description="changes")
    def from_to(self, entry: LogEntry) -> SafeString:
        """Every field with its old and its new value."""
        rows = format_html_join(
            "",
            '<tr><th class="pr-4 text-left font-medium">{}</th><td class="pr-4">{}</td><td>{}</td></tr>',
            ((field, *_shown(values)) for field, values in entry.changes_dict.items()),
        )
        return format_html(
            '<table><tr><th class="pr-4 text-left">field</th><th class="pr-4 text-left">from</th>'
            '<th class="text-left">to</th></tr>{}</table>',
            rows,
        )

    def get_queryset(self, request: HttpRequest):  # type: ignore[no-untyped-def]
        """With what the columns need."""
        return super().get_queryset(request).select_related("content_type", "actor")


def _who(entry: LogEntry) -> str:
    if entry.actor is not None:
        return str(entry.actor)
    return str((entry.additional_data or {}).get("actor", "AgentHub"))


def _shown(values: object) -> tuple[str, str]:
    if isinstance(values, list | tuple):
        old, new = (str(value)[:LONGEST_SHOWN] for value in values)
        return old, new
    # A many-to-many field says its operation and objects instead.
    return "", str(values)[:LONGEST_SHOWN]
