"""Messages as rows: numbers without gaps, threads of their own, and an end after some time."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from agenthub.core.clock import utc_now
from agenthub.hub.models import AgentLog, Message, Participant, Thread
from agenthub.hub.rules.rights import Denied, Role, Sender
from agenthub.hub.services.agents import agent_create
from agenthub.hub.services.inbox import REPLAY_MESSAGES, history_prune, inboxes_trim, page_after
from agenthub.hub.services.messages import Draft, Saved, messages_store
from agenthub.hub.services.participants import epoch, epoch_renew, participant_of
from agenthub.hub.services.threads import thread_change

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Sender:
    made = agent_create(username="worker", values={}).agent
    return Sender(id=made.pk, name="worker", role=Role.AGENT)


@pytest.fixture
def ada() -> Sender:
    place = participant_of(User.objects.create_user("ada"))
    return Sender(id=place.pk, name="ada", role=Role.MEMBER)


def saved(outcome: Saved | Denied) -> Saved:
    assert isinstance(outcome, Saved), outcome
    return outcome


def test_numbers_are_without_gaps_whatever_is_refused_between(agent: Sender, ada: Sender) -> None:
    drafts = [Draft(ada, "CHAT", agent.id, '"x"', local_id=f"n{n}") for n in range(5)]
    drafts.insert(2, Draft(ada, "CHAT", 999_999, '"x"'))
    drafts.insert(4, Draft(ada, "CHAT", agent.id, '"another"', local_id="n0"))
    drafts.append(Draft(ada, "CHAT", agent.id, '"x"', local_id="n1"))
    outcomes = messages_store(drafts)
    assert [each.code if isinstance(each, Denied) else each.envelope.seq for each in outcomes] == [
        *(1, 2, "unknown_target", 3, "id_reuse", 4, 5, 2)
    ]
    assert saved(outcomes[-1]).dup
    assert saved(outcomes[-1]).envelope.id == saved(outcomes[1]).envelope.id
    assert Participant.objects.get(id=agent.id).last_seq == 5


def test_an_agent_answers_in_the_thread_in_which_it_was_asked(agent: Sender, ada: Sender) -> None:
    [first] = messages_store([Draft(ada, "CHAT", agent.id, '"one"')])
    thread = Thread.objects.get(id=saved(first).envelope.thread_id or 0)
    assert (thread.kind, thread.owner_id, thread.peer_id, thread.owner_spoke) == (
        *("agent_direct", ada.id, agent.id, True),
    )
    thread_change(thread_id=thread.pk, owner_id=ada.id, values={"is_archived": True})
    [second] = messages_store([Draft(ada, "CHAT", agent.id, '"two"')])
    assert saved(second).envelope.thread_id != thread.pk
    answer = Draft(agent, "CHAT", ada.id, '"late"', reply_to=saved(first).envelope.id, needs_thread=True)
    assert saved(messages_store([answer])[0]).envelope.thread_id == thread.pk


def test_who_was_not_spoken_to_may_not_write_first(agent: Sender, ada: Sender) -> None:
    [refused] = messages_store([Draft(agent, "CHAT", ada.id, '"buy"', needs_thread=True)])
    assert isinstance(refused, Denied)
    assert not Message.objects.exists()


def test_old_messages_leave_the_inbox_first_and_the_history_later(agent: Sender, ada: Sender) -> None:
    messages_store([Draft(ada, "CHAT", agent.id, f'"{n}"') for n in range(4)])
    now = utc_now()
    Message.objects.filter(seq__lte=2).update(created_at=now - timedelta(days=8))
    Message.objects.filter(seq=1).update(created_at=now - timedelta(days=400))
    inboxes_trim(now=now)
    page = page_after(agent.id, after=0, most=10, name_of=lambda _: "")
    assert (page.trimmed, [each.seq for each in page.envelopes]) == (2, [3, 4])
    assert page.envelopes[0].sender_name == "ada"
    AgentLog.objects.create(agent_id=agent.id, level="INFO", content="x", created_at=now - timedelta(days=31))
    assert history_prune(message_days=0, log_days=0, now=now) == 0
    assert history_prune(message_days=365, log_days=30, now=now) == 2
    assert list(Message.objects.order_by("seq").values_list("seq", flat=True)) == [2, 3, 4]


def test_an_inbox_holds_ten_thousand(agent: Sender) -> None:
    Participant.objects.filter(id=agent.id).update(last_seq=REPLAY_MESSAGES + 7)
    inboxes_trim()
    assert Participant.objects.get(id=agent.id).trimmed_seq == 7


def test_a_restore_begins_another_epoch() -> None:
    before = epoch()
    assert epoch() == before
    assert epoch_renew() != before
