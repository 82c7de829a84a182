"""Pages of the hub of agents in the admin: who sees what, and answers the Butler."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.core.clock import utc_now
from agenthub.core.events import ApprovalAnswered, subscribe
from agenthub.hub.models import AgentLog, AgentSession, Approval, Message, Thread
from agenthub.hub.rules.rights import Role, Sender
from agenthub.hub.services.agents import agent_create
from agenthub.hub.services.approvals import approval_ask
from agenthub.hub.services.messages import Draft, messages_store
from agenthub.hub.services.participants import butler_sender, participant_of
from agenthub.hub.services.sessions import Opening, sessions_open

pytestmark = pytest.mark.django_db


def staff(role: str) -> Client:
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def agent() -> int:
    """An agent that has connected, reported and been written to, and of which the Butler asks something."""
    number: int = agent_create(username="worker", values={"display_name": "The worker"}).agent.pk
    sessions_open([Opening(agent_id=number, session="s", legacy=False, software="probe 1.0", capabilities=["files"])])
    AgentLog.objects.create(agent_id=number, level="ERROR", content="<b>broken</b>", created_at=utc_now())
    ada = participant_of(User.objects.create_user("ada", first_name="Ada"))
    person = Sender(id=ada.pk, name="Ada", role=Role.MEMBER)
    messages_store([Draft(sender=person, type="CHAT", target_id=number, payload='"a private word"')])
    messages_store([Draft(sender=butler_sender(), type="CHAT", target_id=number, payload='"do it"')])
    approval_ask(agent_id=number, command="rm all", asked_by=ada.pk)
    return number


def page_of(client: Client, model: str, number: object = None) -> tuple[int, str]:
    answer = client.get(f"/admin/hub/{model}/" + (f"{number}/change/" if number else ""))
    return answer.status_code, answer.content.decode()


def test_the_staff_sees_who_is_there_what_is_reported_and_asked(agent: int) -> None:
    client = staff("Viewers")
    for model, row, words in (
        ("agentsession", AgentSession.objects.get().pk, ("probe 1.0", "online")),
        ("agentlog", AgentLog.objects.get().pk, ("The worker", "&lt;b&gt;broken")),
        ("approval", Approval.objects.get().pk, ("rm all", "pending", "Ada", "The worker")),
    ):
        for number in (None, row):
            status, page = page_of(client, model, number)
            assert status == 200
            for word in words:
                assert word in page, (model, number, word)
    assert client.get("/admin/hub/agentlog/?q=broken&level__exact=ERROR").status_code == 200
    assert "broken" not in client.get("/admin/hub/agentlog/?q=nothing").content.decode()


def test_what_people_write_is_for_administrators(agent: int) -> None:
    admin = staff("Administrators")
    for model, word in (("message", "a private word"), ("thread", "The worker")):
        status, page = page_of(admin, model)
        assert status == 200
        assert word in page
        assert f"/admin/hub/{model}/" in page_of(admin, "agent")[1]
    assert "a private word" in page_of(admin, "message", Message.objects.first().pk)[1]  # type: ignore[union-attr]
    assert page_of(admin, "thread", Thread.objects.first().pk)[0] == 200  # type: ignore[union-attr]
    for role in ("Operators", "Viewers"):
        client = staff(role)
        assert page_of(client, "message")[0] == 403
        assert page_of(client, "thread")[0] == 403
        assert "/admin/hub/message/" not in page_of(client, "agent")[1]


def test_an_operator_answers_the_butler_and_the_first_answer_counts(agent: int) -> None:
    row, news = Approval.objects.get(), list[ApprovalAnswered]()
    end = subscribe(ApprovalAnswered, news.append)
    body = {"_selected_action": [row.pk], "action": "approve"}
    viewer = staff("Viewers").post("/admin/hub/approval/", body, follow=True)
    row.refresh_from_db()
    assert (viewer.status_code, row.state) == (200, Approval.State.PENDING)
    operator = staff("Operators")
    assert "rm all: approved." in operator.post("/admin/hub/approval/", body, follow=True).content.decode()
    row.refresh_from_db()
    assert row.state == Approval.State.APPROVED
    late = operator.post("/admin/hub/approval/", body | {"action": "reject"}, follow=True).content.decode()
    assert "is approved already" in late
    end()
    assert [(each.action_id, each.approved) for each in news] == [(row.action_id, True)]
    Approval.objects.update(state=Approval.State.PENDING, expires_at=utc_now())
    assert "expired" in page_of(operator, "approval")[1]
