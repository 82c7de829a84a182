"""Agents: made, given tokens, switched off and taken away, by every way there is."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from agenthub.core.agents import agent_directory
from agenthub.core.clock import utc_now
from agenthub.hub.directory import HubDirectory
from agenthub.hub.models import Agent, AgentToken
from agenthub.hub.services.agents import agent_create, agent_of_token, agent_token_rotate
from tests.management import TOKEN, with_environment

pytestmark = pytest.mark.django_db
LIST = "/admin/hub/agent/"
AGENTS = "/api/users/agents"


class Api:
    """Asks as the administrator, or as whoever `client` is signed in as."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Client(headers={"authorization": f"Bearer {TOKEN}"})

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        data = "" if body is None else json.dumps(body)
        response = self.client.generic(method, AGENTS + path, data, content_type="application/json")
        return response.status_code, response.json()


@pytest.fixture
def api() -> Iterator[Api]:
    with with_environment(admin_token=TOKEN):
        yield Api()


def staff(role: str) -> Client:
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def works(token: str) -> bool:
    """Whether an agent gets to its checkpoints with it."""
    response = Client(headers={"authorization": f"Bearer {token}"}).get("/api/agent/checkpoints")
    assert response.status_code in (200, 401)
    return response.status_code == 200


def test_the_hub_is_the_directory_of_agents() -> None:
    assert isinstance(agent_directory(), HubDirectory)


def test_an_agent_is_made_and_gets_to_its_own_checkpoints(api: Api) -> None:
    status, made = api.ask("POST", "", {"username": "crawler", "display_name": "The crawler"})
    assert status == 201
    token = made["token"]
    assert token.startswith(f"aht_{made['id']}_")
    assert (made["role"], made["tokens"][0]["hint"], made["last_seen_at"]) == ("AGENT", token[-4:], None)
    agent = Client(headers={"authorization": f"Bearer {token}"})
    saved = agent.post(
        "/api/agent/checkpoints", {"state": {"iteration": 3}, "epoch": 0}, content_type="application/json"
    )
    assert saved.status_code == 201, saved.content
    assert agent.get("/api/agent/checkpoints/latest").json()["state"]["iteration"] == 3
    _, shown = api.ask("GET", "/crawler")
    assert shown["last_seen_at"] is not None
    assert token not in json.dumps(api.ask("GET")[1])
    assert not AgentToken.objects.filter(digest=token.encode()).exists()
    assert agent_directory().names([str(made["id"]), "no number", "999"]) == {str(made["id"]): "The crawler"}
    trail = LogEntry.objects.filter(object_repr="crawler")
    assert trail.exists()
    assert token not in json.dumps(list(trail.values_list("changes", flat=True)))


def test_two_tokens_work_while_one_takes_the_others_place(api: Api) -> None:
    _, made = api.ask("POST", "", {"username": "crawler"})
    status, rotated = api.ask("PATCH", "/crawler/token", {})
    assert status == 200
    assert works(made["token"])
    assert works(rotated["token"])
    assert [token["ends_at"] is None for token in rotated["tokens"]] == [True, False]
    _, third = api.ask("PATCH", f"/{made['id']}/token", {"overlap_seconds": 0})
    assert [works(each["token"]) for each in (made, rotated, third)] == [False, False, True]


def test_a_rotation_never_makes_an_old_token_work_longer() -> None:
    issued = agent_create(username="a", values={})
    agent_token_rotate(agent_id=issued.agent.pk, overlap_seconds=60)
    agent_token_rotate(agent_id=issued.agent.pk, overlap_seconds=10_000)
    now = utc_now()
    assert agent_of_token(issued.token, now=now + timedelta(seconds=61)) is None


def test_one_that_is_switched_off_or_taken_away_is_refused_at_once(api: Api) -> None:
    _, made = api.ask("POST", "", {"username": "crawler"})
    api.ask("PATCH", "/crawler", {"enabled": False})
    assert not works(made["token"])
    api.ask("PATCH", "/crawler", {"enabled": True, "username": "spider"})
    assert works(made["token"])
    assert api.ask("DELETE", "/spider")[0] == 200
    assert not works(made["token"])
    assert api.ask("GET", "/spider")[0] == 404


def test_a_token_of_another_number_does_not_work() -> None:
    first, second = (agent_create(username=name, values={}) for name in ("a", "b"))
    forged = f"aht_{second.agent.pk}_{first.token.rpartition('_')[2]}"
    assert agent_of_token(first.token, now=utc_now()) == first.agent
    assert agent_of_token(forged, now=utc_now()) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        ({"username": "A b"}, "username"),
        ({"username": "7"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"username": "a", "display_name": "x" * 151}, "display_name"),
        ({"username": "a", "owner": "nobody"}, "owner"),
        ({"username": "a", "enabled": "perhaps"}, "enabled"),
    ],
)
def test_an_agent_that_makes_no_sense_is_refused_by_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    status, answer = api.ask("POST", "", body)
    assert (status, answer["error"]["param"]) == (400, field)
    assert not Agent.objects.exists()


def test_a_name_is_one_agents(api: Api) -> None:
    api.ask("POST", "", {"username": "a"})
    assert api.ask("POST", "", {"username": "a"})[0] == 409
    api.ask("POST", "", {"username": "b"})
    assert api.ask("PATCH", "/b", {"username": "a"})[0] == 409
    assert api.ask("PATCH", "/b/token", {"overlap_seconds": -1})[0] == 400
    assert [each["username"] for each in api.ask("GET", "?q=B&exclude_role=BUTLER")[1]] == ["b"]


def test_viewers_look_and_strangers_do_not() -> None:
    operator = Api(staff("Operators"))
    assert operator.ask("POST", "", {"username": "a"})[0] == 201
    viewer = Api(staff("Viewers"))
    assert viewer.ask("GET")[0] == 200
    for method, path in (("POST", ""), ("PATCH", "/a"), ("PATCH", "/a/token"), ("DELETE", "/a")):
        assert viewer.ask(method, path, {})[0] == 403
    assert Client().get(AGENTS).status_code == 401


def test_the_admin_shows_a_token_once() -> None:
    client = staff("Operators")
    made = client.post(f"{LIST}add/", {"username": "crawler", "enabled": "on"})
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    agent = Agent.objects.get()
    shown = made.content.decode()
    start = shown.index(f"aht_{agent.pk}_")
    token = shown[start : shown.index('"', start)]
    assert works(token)
    for page in (LIST, f"{LIST}{agent.pk}/change/"):
        answer = client.get(page)
        assert answer.status_code == 200
        assert token not in answer.content.decode()
    asked = client.get(f"{LIST}{agent.pk}/rotate/")
    assert b"overlap_seconds" in asked.content
    rotated = client.post(f"{LIST}{agent.pk}/rotate/", {"overlap_seconds": "0"})
    assert b"shown this once" in rotated.content
    assert not works(token)
    client.post(f"{LIST}{agent.pk}/change/", {"username": "crawler", "display_name": "C", "enabled": "on"})
    assert Agent.objects.get().display_name == "C"
    client.post(LIST, {"action": "delete_selected", "_selected_action": [agent.pk], "post": "yes"})
    assert not Agent.objects.exists()


def said(*words: str) -> str:
    out = StringIO()
    call_command("agents", *words, stdout=out)
    return out.getvalue()


def test_the_command_line_does_the_same() -> None:
    made = json.loads(said("create", "crawler", "--display-name", "C", "--json"))
    assert works(made["token"])
    assert "crawler" in said("list")
    new = said("rotate", "crawler", "--overlap", "0").splitlines()[-1]
    assert (works(made["token"]), works(new)) == (False, True)
    assert "is disabled" in said("disable", str(made["id"]))
    assert not works(new)
    assert "is enabled" in said("enable", "crawler")
    assert "is gone" in said("delete", "crawler")
    for words in (("delete", "crawler"), ("create", "A b")):
        with pytest.raises(CommandError):
            said(*words)
    said("create", "b")
    with pytest.raises(CommandError):
        said("create", "b")
