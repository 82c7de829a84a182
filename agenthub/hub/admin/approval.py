"""Questions of the Butler in the admin."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now
from unfold.decorators import display

from agenthub.core.admin.base import ReadOnlyAdmin
from agenthub.core.errors import Refused
from agenthub.core.events import ApprovalAnswered, publish
from agenthub.hub.admin.names import named
from agenthub.hub.models import Approval
from agenthub.hub.services.approvals import approval_answer
from agenthub.hub.services.participants import participant_of, sender_of


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """What the Butler asks people for, and what they said. The first answer counts; none after its time."""

    list_display = (
        "created_at",
        "state_label",
        "agent_shown",
        "command",
        "asker_shown",
        "approver_shown",
        "expires_at",
    )
    list_filter = ("state",)
    search_fields = ("command", "reasoning", "=agent_id")
    search_help_text = "Search by command, reason, or the number of an agent."
    ordering = ("-id",)
    fields = (
        ("created_at", "expires_at", "state_label"),
        ("agent_shown", "asker_shown"),
        "command",
        "reasoning",
        ("approver_shown", "answered_at"),
    )
    readonly_fields = ("state_label", "agent_shown", "asker_shown", "approver_shown")
    actions = ("approve", "reject")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        """Each with its names."""
        rows = super().get_queryset(request)
        return named(rows, agent_name="agent_id", asker_name="asked_by", approver_name="approver_id")

    def has_answer_permission(self, request: HttpRequest) -> bool:
        """Who may answer: Operators and Administrators."""
        return bool(request.user.has_perm("hub.change_approval"))

    @display(
        description="state",
        ordering="state",
        label={"pending": "warning", "approved": "success", "rejected": "danger", "expired": "info"},
    )
    def state_label(self, row: Approval) -> str:
        """How it stands, in colour; what has run out is not pending any more."""
        late = row.state == Approval.State.PENDING and row.expires_at <= now()
        return "expired" if late else row.get_state_display()

    @display(description="agent")
    def agent_shown(self, row: Approval) -> str:
        """Whom it would command."""
        return getattr(row, "agent_name", None) or str(row.agent_id)

    @display(description="asked for")
    def asker_shown(self, row: Approval) -> str:
        """For whom it is asked."""
        return getattr(row, "asker_name", None) or str(row.asked_by)

    @display(description="answered by")
    def approver_shown(self, row: Approval) -> str:
        """Who has answered."""
        return getattr(row, "approver_name", None) or "nobody"

    @admin.action(description="Approve", permissions=["answer"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Approval]) -> None:
        """Let the Butler do it."""
        self._answer(request, queryset, approved=True)

    @admin.action(description="Reject", permissions=["answer"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Approval]) -> None:
        """Do not let it."""
        self._answer(request, queryset, approved=False)

    def _answer(self, request: HttpRequest, queryset: QuerySet[Approval], *, approved: bool) -> None:
        user = request.user
        assert user.is_authenticated  # noqa: S101 - the admin has seen to it
        person = sender_of(user, participant_of(user).pk)
        if not person.approves:
            self.message_user(request, "Only Operators and Administrators answer the Butler.", messages.ERROR)
            return
        for row in queryset:
            try:
                approval_answer(action_id=row.action_id, approver_id=person.id, approved=approved)
            except Refused as problem:
                self.message_user(request, problem.message, messages.ERROR)
                continue
            publish(
                ApprovalAnswered(
                    action_id=row.action_id,
                    approved=approved,
                    approver_id=person.id,
                    approver_name=person.name,
                    approver_role=person.role.value,
                )
            )
            self.message_user(request, f"{row.command[:100]}: {'approved' if approved else 'rejected'}.")
