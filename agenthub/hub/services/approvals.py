"""Questions of the Butler to people: asked once, answered once, or run out."""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict, NotFound
from agenthub.hub.models import Approval

EXPIRES_SECONDS = 900


def approval_ask(*, agent_id: int, command: str, asked_by: int, reasoning: str = "") -> Approval:
    """A new question; nobody has been told of it yet."""
    now = utc_now()
    return Approval.objects.create(
        action_id=secrets.token_hex(12),
        agent_id=agent_id,
        command=command,
        reasoning=reasoning,
        asked_by=asked_by,
        expires_at=now + timedelta(seconds=EXPIRES_SECONDS),
        created_at=now,
    )


@transaction.atomic
def approval_answer(*, action_id: str, approver_id: int, approved: bool, now: datetime | None = None) -> Approval:
    """Answer a question. The same answer of the same person again is no error.

    Raises NotFound, and Conflict when it has been answered or has run out.
    """
    now = now or utc_now()
    row = Approval.objects.select_for_update().filter(action_id=action_id).first()
    if row is None:
        raise NotFound(f"There is no question {action_id}.", param="action_id")
    state = Approval.State.APPROVED if approved else Approval.State.REJECTED
    if row.state == state and row.approver_id == approver_id:
        return row
    if row.state != Approval.State.PENDING:
        raise Conflict(f"The question {action_id} is {row.get_state_display()} already.", param="action_id")
    if row.expires_at <= now:
        raise Conflict(f"The question {action_id} has run out at {row.expires_at:%H:%M:%S} UTC.", param="action_id")
    row.state, row.approver_id, row.answered_at = state, approver_id, now
    row.save(update_fields=["state", "approver_id", "answered_at"])
    return row
