"""Questions to approvers: the first answer counts, and none after its time."""

from datetime import timedelta

import pytest

from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict, NotFound
from agenthub.hub.models import Approval
from agenthub.hub.services.approvals import EXPIRES_SECONDS, approval_answer, approval_ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def question() -> Approval:
    return approval_ask(agent_id=1, command="rm", asked_by=2)


def test_the_first_answer_counts(question: Approval) -> None:
    done = approval_answer(action_id=question.action_id, approver_id=3, approved=True)
    assert (done.state, done.approver_id) == ("APPROVED", 3)
    assert approval_answer(action_id=question.action_id, approver_id=3, approved=True).state == "APPROVED"
    with pytest.raises(Conflict, match="approved already"):
        approval_answer(action_id=question.action_id, approver_id=4, approved=False)
    assert Approval.objects.get().approver_id == 3


def test_none_counts_after_its_time(question: Approval) -> None:
    late = utc_now() + timedelta(seconds=EXPIRES_SECONDS)
    with pytest.raises(Conflict, match="run out"):
        approval_answer(action_id=question.action_id, approver_id=3, approved=True, now=late)
    assert Approval.objects.get().state == "PENDING"


def test_what_was_never_asked_is_not_answered() -> None:
    with pytest.raises(NotFound):
        approval_answer(action_id="x", approver_id=3, approved=True)
