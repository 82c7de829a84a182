"""People and agents of a hub under test."""

import os
import subprocess
import sys
from dataclasses import dataclass
from uuid import uuid4

import httpx

from tests.hub import REPOSITORY, Hub

_MAKE = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "agenthub.settings"
import django
django.setup()
from django.contrib.auth.models import Group, User
from agenthub.hub.services.participants import participant_of
from agenthub.hub.services.signin import butler_token, person_token
for role in ("Administrators", "Operators", "Viewers", "Members", "Members"):
    user = User.objects.create_user(f"{role.lower()}-{os.urandom(3).hex()}", password="a password for tests")
    user.groups.add(Group.objects.get(name=role))
    print(role, participant_of(user).pk, user.username, person_token(user))
print("Butler", 0, "", butler_token())
"""


_ASK = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "agenthub.settings"
import django
django.setup()
from agenthub.hub.services.approvals import approval_ask
print("asked", approval_ask(agent_id=int(sys.argv[1]), command="rm", asked_by=int(sys.argv[2])).action_id)
"""


@dataclass(frozen=True)
class Someone:
    """Who can connect."""

    id: int
    name: str
    token: str


@dataclass(frozen=True)
class People:
    """One of each role, two members, and the Butler."""

    admin: Someone
    operator: Someone
    viewer: Someone
    member: Someone
    other_member: Someone
    butler: Someone


_made: dict[str, People] = {}


def people_of(hub: Hub) -> People:
    """The people of a hub, made the first time."""
    if hub.base_url not in _made:
        lines = [line.split(" ") for line in _run(hub, _MAKE).splitlines() if line.count(" ") == 3]
        _made[hub.base_url] = People(*(Someone(int(number), name, token) for _, number, name, token in lines))
    return _made[hub.base_url]


def new_approval(hub: Hub, agent: Someone, asker: Someone) -> str:
    """The action_id of a question of the Butler that nobody has been told of."""
    said = _run(hub, _ASK, str(agent.id), str(asker.id))
    return next(line.split(" ")[1] for line in said.splitlines() if line.startswith("asked "))


def _run(hub: Hub, script: str, *arguments: str) -> str:
    """What a script with the hub's own environment prints."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **hub.environ},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def new_agent(hub: Hub, **fields: object) -> Someone:
    """A new agent and its token."""
    made = agents(hub, "POST", "", {"username": f"agent-{uuid4().hex[:12]}", **fields})
    return Someone(made["id"], made["username"], made["token"])


def agents(hub: Hub, method: str, path: str, body: object = None) -> dict:  # type: ignore[type-arg]
    """A call of the API of agents, as the administrator."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.request(
            method,
            f"{hub.base_url}/api/users/agents{path}",
            json=body,
            headers={"authorization": f"Bearer {hub.token}"},
        )
    assert answer.is_success, answer.text
    found: dict = answer.json()  # type: ignore[type-arg]
    return found
