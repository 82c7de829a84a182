"""Threads and messages in the admin, for administrators alone: what people write is theirs."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from agenthub.core.access import is_administrator
from agenthub.core.admin.base import ReadOnlyAdmin
from agenthub.hub.admin.names import named
from agenthub.hub.models import Message, Thread

LONGEST_SHOWN = 200


class _PrivateAdmin(ReadOnlyAdmin):
    """What only administrators see."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether it is one."""
        return is_administrator(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether it is one."""
        return is_administrator(request.user)


@admin.register(Thread)
class ThreadAdmin(_PrivateAdmin):
    """Who talks with whom."""

    list_display = ("updated_at", "kind", "owner", "peer", "title", "is_default", "is_pinned", "is_archived")
    list_filter = ("kind", "is_archived")
    search_fields = ("title", "owner__name", "peer__name")
    search_help_text = "Search by title, person or agent."
    ordering = ("-updated_at", "-id")
    list_select_related = ("owner", "peer")


@admin.register(Message)
class MessageAdmin(_PrivateAdmin):
    """What was said."""

    list_display = ("created_at", "type", "sender_shown", "target_shown", "payload_shown", "thread_id", "seq")
    list_filter = ("type", "sender_role")
    search_fields = ("payload", "=thread_id", "=sender_id", "=target_id", "=task_id")
    search_help_text = "Search by words, or by the number of a thread, a sender or a target."
    ordering = ("-id",)
    fields = (
        ("created_at", "type"),
        ("sender_shown", "sender_role", "target_shown"),
        ("thread_id", "seq", "reply_to", "task_id"),
        "payload",
        "extra",
        ("local_id", "stream_id", "synthesized", "expires_at"),
    )
    readonly_fields = ("sender_shown", "target_shown")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Each with the names of its sender and its target."""
        return named(super().get_queryset(request), sender_name="sender_id", target_name="target_id")

    @display(description="from", ordering="sender_id")
    def sender_shown(self, row: Message) -> str:
        """Its name."""
        return getattr(row, "sender_name", None) or str(row.sender_id)

    @display(description="to", ordering="target_id")
    def target_shown(self, row: Message) -> str:
        """Its name."""
        return getattr(row, "target_name", None) or str(row.target_id)

    @display(description="payload")
    def payload_shown(self, row: Message) -> str:
        """Its beginning."""
        return row.payload if len(row.payload) <= LONGEST_SHOWN else row.payload[:LONGEST_SHOWN] + "…"
