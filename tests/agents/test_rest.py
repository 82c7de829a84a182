"""The API of the hub: who sees and does what over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.core.clock import utc_now
from agenthub.core.events import ApprovalAnswered, ReportStored, subscribe
from agenthub.hub.api import reports
from agenthub.hub.models import AgentLog, Approval, Participant, Thread
from agenthub.hub.rules.limits import AGENT_RATES
from agenthub.hub.rules.rate import Bucket
from agenthub.hub.rules.rights import Role, Sender
from agenthub.hub.services.agents import agent_create
from agenthub.hub.services.approvals import approval_ask
from agenthub.hub.services.messages import Draft, Saved, messages_store
from agenthub.hub.services.participants import butler, butler_sender, participant_of, sender_of
from agenthub.hub.services.sessions import Opening, sessions_open
from agenthub.hub.services.signin import person_token
from tests.management import TOKEN, with_environment

pytestmark = pytest.mark.django_db


class Person:
    """Somebody of a role, who asks with their token."""

    def __init__(self, role: str, name: str = "") -> None:
        self.user = User.objects.create_user(name or role.lower(), is_staff=role != "Members")
        self.user.groups.add(Group.objects.get(name=role))
        self.id = participant_of(self.user).pk
        self.token = person_token(self.user)

    @property
    def sender(self) -> Sender:
        return sender_of(self.user, self.id)


class Maker:
    """Makes people and agents of a test."""

    def person(self, role: str, name: str = "") -> Person:
        return Person(role, name)

    def agent(self, name: str, **values: Any) -> tuple[int, str]:
        issued = agent_create(username=name, values=values)
        return issued.agent.pk, issued.token


@pytest.fixture
def make() -> Iterator[Maker]:
    reports._buckets.clear()
    with with_environment(admin_token=TOKEN):
        yield Maker()


def ask(who: Person | str, method: str, path: str, body: Any = None) -> Any:
    token = who if isinstance(who, str) else who.token
    client = Client(headers={"authorization": f"Bearer {token}"})
    return client.generic(method, f"/api/{path}", json.dumps(body) if body is not None else "", "application/json")


def good(who: Person | str, method: str, path: str, body: Any = None) -> Any:
    answer = ask(who, method, path, body)
    assert answer.status_code < 300, answer.content
    return answer.json()


def refused(who: Person | str, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
    answer = ask(who, method, path, body)
    assert answer.status_code >= 400, answer.content
    return answer.status_code, answer.json()["error"]["param"]


def say(sender: Sender, target_id: int, text: str, thread_id: int | None = None) -> Saved:
    draft = Draft(sender=sender, type="CHAT", target_id=target_id, payload=json.dumps(text), thread_id=thread_id)
    [saved] = messages_store([draft])
    assert isinstance(saved, Saved), saved
    return saved


def agent_sender(number: int) -> Sender:
    return Sender(id=number, name="worker", role=Role.AGENT)


# Reports


def test_an_agent_reports_and_people_who_may_see_it_read_it(make: Maker) -> None:
    number, token = make.agent("worker", display_name="The worker", open_to_members=False)
    news: list[ReportStored] = []
    end = subscribe(ReportStored, news.append)
    made = good(token, "POST", "messages", {"level": "WARNING", "content": "half 𝄞 full"})
    end()
    assert (made["agent_id"], made["agent_name"], made["content"]) == (number, "The worker", "half 𝄞 full")
    assert (news[0].number, news[0].level, news[0].agent_name) == (made["id"], "WARNING", "The worker")
    assert good(make.person("Viewers"), "GET", "messages") == [made]
    assert good(make.person("Members"), "GET", "messages") == []
    assert good(TOKEN, "GET", "messages?agent_id=worker") == [made]
    assert refused(token, "GET", "messages")[0] == 403


def test_reports_are_chosen_by_agent_level_and_text_in_parts(make: Maker) -> None:
    first, second = make.agent("first")[0], make.agent("second")[0]
    for number in range(6):
        agent_id = first if number % 2 else second
        level = "ERROR" if number > 3 else "INFO"
        AgentLog.objects.create(agent_id=agent_id, level=level, content=f"report {number}", created_at=utc_now())

    def found(query: str) -> list[str]:
        return [row["content"].removeprefix("report ") for row in good(TOKEN, "GET", f"messages?{query}")]

    assert found("") == ["5", "4", "3", "2", "1", "0"]
    assert found(f"agent_id={first}") == ["5", "3", "1"]
    assert found("level=ERROR") == ["5", "4"]
    assert found("q=PORT%203") == ["3"]
    assert found("limit=2&offset=1") == ["4", "3"]
    assert found("offset=100") == []
    for query in ("limit=201", "limit=0", "offset=-1", "level=LOUD", "q=%00"):
        assert refused(TOKEN, "GET", f"messages?{query}")[0] == 400
    assert refused(TOKEN, "GET", "messages?agent_id=nobody") == (404, "agent_id")


def test_nobody_reports_in_the_name_of_others(make: Maker) -> None:
    (_, token), (other, _) = make.agent("worker"), make.agent("other")
    report = {"level": "INFO", "content": "x"}
    assert refused(token, "POST", "messages", report | {"agent_id": str(other)})[0] == 403
    assert refused(make.person("Members"), "POST", "messages", report | {"agent_id": "other"})[0] == 403
    assert refused(make.person("Viewers"), "POST", "messages", report | {"agent_id": "other"})[0] == 403
    assert good(make.person("Operators"), "POST", "messages", report | {"agent_id": "other"})["agent_id"] == other
    assert refused(TOKEN, "POST", "messages", report) == (400, "agent_id")
    assert refused(token, "POST", "messages", {"level": "LOUD", "content": "x"}) == (400, "level")
    assert refused(token, "POST", "messages", {"level": "INFO", "content": "ä" * 2049}) == (400, "content")
    assert refused(token, "POST", "messages", {"level": "INFO", "content": "a\0b"}) == (400, "content")
    assert AgentLog.objects.count() == 1


def test_an_agent_that_reports_too_much_is_told_to_wait(make: Maker) -> None:
    number, token = make.agent("worker")
    report = {"level": "INFO", "content": "x"}
    good(token, "POST", "messages", report)
    bucket = reports._buckets[number]
    assert (bucket.rate, bucket.burst) == AGENT_RATES["SYSTEM_LOG"]
    reports._buckets[number] = Bucket(rate=0.001, burst=2)  # so slow that no machine is
    answers = [ask(token, "POST", "messages", report) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[-1]["Retry-After"]) >= 1
    assert AgentLog.objects.count() == 3


# Agents and people


def test_people_see_the_butler_and_the_agents_they_may_write_to(make: Maker) -> None:
    member = make.person("Members")
    make.agent("open", workspace="/srv/open")
    make.agent("closed", open_to_members=False)
    make.agent("theirs", open_to_members=False, members=[member.user])

    def names(who: Person, query: str = "") -> list[str]:
        return [row["username"] for row in good(who, "GET", f"users/agents?{query}")]

    assert names(member) == ["butler", "open", "theirs"]
    assert names(make.person("Viewers")) == ["butler", "closed", "open", "theirs"]
    assert names(member, "exclude_role=BUTLER") == ["open", "theirs"]
    assert names(member, "exclude_role=AGENT") == ["butler"]
    assert names(member, "q=the") == ["theirs"]
    assert [names(member, f"limit=2&page={page}") for page in (1, 2, 3)] == [["butler", "open"], ["theirs"], []]
    answer = ask(member, "GET", "users/agents?limit=1&page=2")
    assert answer["X-Total-Count"] == "3"
    assert "page" not in answer["Link"]
    assert refused(member, "GET", "users/agents?exclude_role=ADMIN") == (400, "exclude_role")
    for_member, for_token = (
        next(row for row in good(who, "GET", "users/agents") if row["username"] == "open") for who in (member, TOKEN)
    )
    assert (for_member["workspace"], for_member["tokens"], for_member["token_hint"]) == ("", [], "")
    assert (for_token["workspace"], len(for_token["tokens"])) == ("/srv/open", 1)
    assert for_token["token_hint"] == for_token["tokens"][0]["hint"]
    shown = good(member, "GET", "users/butler")
    assert shown.keys() == for_token.keys()
    assert (shown["id"], shown["role"]) == (butler().pk, "BUTLER")
    assert (shown["status"], shown["online"]) == ("unknown", False)
    assert refused(member, "POST", "users/agents", {"username": "mine"})[0] == 403


def test_who_is_there_is_told_with_the_last_report(make: Maker) -> None:
    here, away = make.agent("here")[0], make.agent("away")[0]
    sessions_open([Opening(agent_id=here, session="s", legacy=False, capabilities=["files"])])
    for content in ("older", "newest"):
        AgentLog.objects.create(agent_id=here, level="INFO", content=content, created_at=utc_now())
    rows = {row["id"]: row for row in good(make.person("Members"), "GET", "users/agents/status")}
    assert set(rows) == {here, away}
    assert (rows[here]["status"], rows[here]["online"], rows[here]["last_report"]) == ("online", True, "newest")
    assert (rows[away]["status"], rows[away]["online"], rows[away]["last_report"]) == ("offline", False, "")
    assert good(TOKEN, "GET", "users/agents/here")["capabilities"] == ["files"]


def test_a_token_is_tried_without_connecting(make: Maker) -> None:
    number, token = make.agent("worker")
    tried = good(TOKEN, "POST", "users/agents/test-connection", {"api_token": token})
    assert (tried["ok"], tried["agent_id"], tried["username"], tried["online"]) == (True, number, "worker", False)
    for bad in (token[:-1] + "x", "aht_", "sk-other", "x" * 300):
        assert good(TOKEN, "POST", "users/agents/test-connection", {"api_token": bad})["ok"] is False
    good(TOKEN, "PATCH", "users/agents/worker", {"enabled": False})
    off = good(TOKEN, "POST", "users/agents/test-connection", {"api_token": token})
    assert (off["ok"], off["message"]) == (False, "The agent worker is switched off.")
    assert refused(make.person("Members"), "POST", "users/agents/test-connection", {"api_token": token})[0] == 403


def test_administrators_make_people(make: Maker) -> None:
    admin = make.person("Administrators")
    new = {"username": "eve", "password": "a long enough password", "role": "MEMBER"}
    made = good(admin, "POST", "users", new)
    assert (made["username"], made["role"]) == ("eve", "MEMBER")
    eve = User.objects.get(username="eve")
    assert (eve.is_staff, eve.is_superuser, [group.name for group in eve.groups.all()]) == (False, False, ["Members"])
    assert good("", "POST", "auth/login", {"username": "eve", "password": new["password"]})["user"]["id"] == made["id"]
    assert refused(admin, "POST", "users", new) == (409, "username")
    assert refused(admin, "POST", "users", new | {"username": "a b"}) == (400, "username")
    assert refused(admin, "POST", "users", new | {"username": "z", "password": "short"}) == (400, "password")
    assert refused(admin, "POST", "users", new | {"username": "z", "role": "KING"}) == (400, "role")
    assert refused(make.person("Operators"), "POST", "users", new | {"username": "z", "role": "ADMIN"})[0] == 403
    assert not User.objects.filter(username="z").exists()


# Threads and what is said in them


def test_a_person_keeps_threads_of_their_own(make: Maker) -> None:
    person, other = make.person("Members"), make.person("Members", "other")
    agent = make.agent("worker")[0]
    thread = good(person, "POST", "chat/threads", {"peer_user_id": agent, "title": "Plans"})
    assert (thread["channel_kind"], thread["peer_name"], thread["is_default"]) == ("agent_direct", "worker", False)
    with_butler = good(person, "POST", "chat/threads", {"peer_user_id": butler().pk, "title": "Else"})
    assert with_butler["channel_kind"] == "butler_direct"
    path = f"chat/threads/{thread['id']}"
    changed = good(person, "PATCH", path, {"is_pinned": True, "summary": "short"})
    assert (changed["title"], changed["summary"], changed["is_pinned"]) == ("Plans", "short", True)
    say(person.sender, butler().pk, "hello", with_butler["id"])
    assert [row["title"] for row in good(person, "GET", "chat/threads")] == ["Plans", "Else"]
    assert [row["title"] for row in good(person, "GET", f"chat/threads?peer_id={agent}")] == ["Plans"]
    assert [row["title"] for row in good(person, "GET", "chat/threads?kind=butler_direct")] == ["Else"]
    assert [row["title"] for row in good(person, "GET", "chat/threads?q=lan")] == ["Plans"]
    good(person, "PATCH", path, {"is_archived": True})
    assert [row["title"] for row in good(person, "GET", "chat/threads")] == ["Else"]
    assert [row["title"] for row in good(person, "GET", "chat/threads?is_archived=true")] == ["Plans"]
    assert len(good(person, "GET", "chat/threads?is_archived=all")) == 2
    assert good(other, "GET", "chat/threads") == []
    for method, body in (("GET", None), ("PATCH", {"title": "Mine"})):
        assert refused(other, method, path, body)[0] == 404
    assert refused(other, "GET", f"{path}/messages")[0] == 404


def test_threads_begin_only_where_one_may_write(make: Maker) -> None:
    member = make.person("Members")
    closed, off = make.agent("closed", open_to_members=False)[0], make.agent("off", enabled=False)[0]
    assert refused(member, "POST", "chat/threads", {"peer_user_id": closed})[0] == 403
    assert refused(member, "POST", "chat/threads", {"peer_user_id": off})[0] == 404
    assert refused(member, "POST", "chat/threads", {"peer_user_id": 2**62})[0] == 404
    assert refused(member, "POST", "chat/threads", {"peer_user_id": member.id})[0] == 404
    assert refused(member, "POST", "chat/threads", {"peer_user_id": make.person("Members", "eve").id})[0] == 404
    assert refused(member, "POST", "chat/threads", {}) == (400, "peer_user_id")
    assert refused(make.person("Viewers"), "POST", "chat/threads", {"peer_user_id": butler().pk})[0] == 403
    assert refused(member, "GET", "chat/threads?kind=x")[0] == 400
    assert refused(member, "GET", "chat/threads/99999999999999999999")[0] == 404
    assert not Thread.objects.exists()


def test_histories_are_read_from_the_newest_on(make: Maker) -> None:
    person, other = make.person("Members"), make.person("Members", "other")
    agent = make.agent("worker")[0]
    own = good(person, "POST", "chat/threads", {"peer_user_id": agent, "title": "Own"})["id"]
    for number in range(5):
        say(person.sender, agent, f"q{number}")
        say(agent_sender(agent), person.id, f"a{number}")
    say(person.sender, agent, "in my thread 𝄞", own)
    say(other.sender, agent, "somebody else's")
    say(butler_sender(), agent, "the Butler's")

    def texts(path: str) -> list[Any]:
        return [row["payload"] for row in good(person, "GET", path)]

    everything = ["in my thread 𝄞"] + [f"{who}{number}" for number in (4, 3, 2, 1, 0) for who in "aq"]
    history = f"chat/history/{agent}"
    assert texts(history) == everything
    assert texts(f"chat/threads/{own}/messages") == ["in my thread 𝄞"]
    newest = good(person, "GET", history)[0]
    assert (newest["sender_id"], newest["receiver_id"], newest["conversation_id"]) == (person.id, agent, own)
    assert newest["sender_role"] == "MEMBER"
    read, cursor = [], ""
    while True:
        answer = ask(person, "GET", f"{history}?limit=4&cursor={cursor}")
        read += [row["payload"] for row in answer.json()]
        if "X-Next-Cursor" not in answer:
            break
        if not cursor:
            say(agent_sender(agent), person.id, "meanwhile")
        cursor = answer["X-Next-Cursor"]
    assert read == everything
    for query in ("limit=201", "limit=0", "cursor=x", "cursor=-1"):
        assert refused(person, "GET", f"{history}?{query}")[0] == 400
    assert refused(person, "GET", "chat/history/4000000")[0] == 404
    assert refused(person, "GET", "chat/history/somebody")[0] == 404
    admin = make.person("Administrators")
    assert [row["payload"] for row in good(admin, "GET", f"chat/butler-agent/{agent}")] == ["the Butler's"]
    assert refused(person, "GET", f"chat/butler-agent/{agent}")[0] == 403
    assert refused(make.person("Operators"), "GET", f"chat/butler-agent/{agent}")[0] == 403


def test_what_an_agent_said_stays_when_it_is_gone(make: Maker) -> None:
    person = make.person("Members")
    agent = make.agent("worker")[0]
    say(person.sender, agent, "hello")
    say(agent_sender(agent), person.id, "hello yourself")
    good(TOKEN, "DELETE", f"users/agents/{agent}")
    rows = good(person, "GET", f"chat/history/{agent}")
    assert (rows[0]["payload"], rows[0]["sender_name"]) == ("hello yourself", "worker")


def test_an_approver_answers_once(make: Maker) -> None:
    operator, admin = make.person("Operators"), make.person("Administrators")
    agent = make.agent("worker")[0]
    asked = approval_ask(agent_id=agent, command="rm", asked_by=operator.id).action_id
    news: list[ApprovalAnswered] = []
    end = subscribe(ApprovalAnswered, news.append)
    body = {"action_id": asked, "approved": False}
    assert refused(make.person("Members"), "POST", "chat/auth/response", body)[0] == 403
    assert refused(make.person("Viewers"), "POST", "chat/auth/response", body)[0] == 403
    assert good(operator, "POST", "chat/auth/response", body) == {"status": "resolved", **body}
    assert refused(admin, "POST", "chat/auth/response", body | {"approved": True})[0] == 409
    assert refused(admin, "POST", "chat/auth/response", body | {"action_id": "none"})[0] == 404
    assert refused(admin, "POST", "chat/auth/response", {"action_id": asked}) == (400, "approved")
    end()
    assert [(each.action_id, each.approved, each.approver_id) for each in news] == [(asked, False, operator.id)]
    row = Approval.objects.get(action_id=asked)
    assert (row.state, row.approver_id) == (Approval.State.REJECTED, operator.id)


def test_only_those_who_have_shown_who_they_are(make: Maker) -> None:
    for path in ("messages", "users/agents", "users/agents/status", "users/butler", "chat/threads", "chat/history/1"):
        assert Client().get(f"/api/{path}").status_code == 401, path
        assert refused("ahu_forged", "GET", path)[0] == 401
        assert refused("forged", "GET", path)[0] == 401
    gone = make.person("Members")
    gone.user.is_active = False
    gone.user.save()
    assert refused(gone, "GET", "chat/threads")[0] == 401
    assert refused(TOKEN, "GET", "chat/threads")[0] == 401
    assert Participant.objects.filter(kind=Participant.Kind.PERSON).count() == 1
