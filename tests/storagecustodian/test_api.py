"""The management API and the agents' own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.core.access import OPERATORS, VIEWERS
from heartbeat.models import Alert
from storagecustodian.models import Checkpoint
from storagecustodian.services.saving import checkpoint_save
from tests.management import TOKEN, Management, with_environment
from tests.storagecustodian.directory import Directory
from tests.storagecustodian.factories import state
from tests.storagecustodian.test_saving import damage

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def as_person(role: str) -> Management:
    person = User.objects.create_user(role.lower(), is_staff=True)
    person.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(person)
    return Management(client)


class Agent:
    """Asks as an agent."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"authorization": f"Bearer {token}"})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = "" if body is None else json.dumps(body)
        return self.client.generic(method, f"/api/agent/{path}", data, content_type="application/json")

    def good(self, method: str, path: str, body: Any = None) -> Any:
        response = self.ask(method, path, body)
        assert response.status_code < 300, response.content
        return response.json()

    def code(self, status: int, method: str, path: str, body: Any = None) -> str:
        response = self.ask(method, path, body)
        assert response.status_code == status, response.content
        return str(response.json()["error"]["code"])


@pytest.fixture
def agent(directory: Directory) -> Agent:
    return Agent(directory.add("a"))


def test_save_list_read_change_and_delete(api: Management) -> None:
    saved = api.good("POST", "agents/7/checkpoints", {"state": state(3), "label": "good", "note": "n"})
    assert (saved["agent_id"], saved["sequence"], saved["label"], saved["iteration"]) == ("7", 1, "good", 3)
    assert "state" not in saved
    assert api.good("GET", "agents/7/checkpoints") == [saved] == api.good("GET", "checkpoints?label=good")
    found = api.good("GET", f"checkpoints/{saved['id']}")
    assert (found["state"], found["version"], found["corrupt_skipped"]) == (state(3), "1.0", [])
    assert found["line"] == {"epoch": 0, "sequence": 1, "auto_iteration": 0, "auto_every": 5}
    assert api.good("PATCH", f"checkpoints/{saved['id']}", {"pinned": True})["pinned"]
    assert api.good("DELETE", f"checkpoints/{saved['id']}")["id"] == saved["id"]
    assert api.error(404, "GET", f"checkpoints/{saved['id']}")["code"] == "checkpoint_not_found"


@pytest.mark.parametrize("agent_id", ["a/b", "a%2Fb", "..", "a b", "名", "[x]", "a\nb", "x/checkpoints/latest"])
def test_an_agents_id_may_hold_any_characters(api: Management, agent_id: str) -> None:
    from urllib.parse import quote

    place = f"agents/{quote(agent_id, safe='')}/checkpoints"
    assert api.good("POST", place, {"state": state()})["agent_id"] == agent_id
    assert api.good("GET", f"{place}/latest")["agent_id"] == agent_id


def test_the_latest_passes_over_what_is_damaged_and_raises_an_alert(
    api: Management, django_capture_on_commit_callbacks: Any
) -> None:
    whole, damaged = (checkpoint_save(agent_id="7", state=state(n)) for n in (1, 2))
    damage(damaged)
    with django_capture_on_commit_callbacks(execute=True):
        found = api.good("GET", "agents/7/checkpoints/latest")
    assert (found["id"], found["corrupt_skipped"]) == (whole.id, [damaged.id])
    assert Alert.objects.get().rule == "checkpoint_corrupt"
    assert Checkpoint.objects.get(id=damaged.id).damaged_at is not None
    assert api.error(409, "GET", f"checkpoints/{damaged.id}")["code"] == "checkpoint_corrupt"


def test_restore_rollback_diff_and_cleanup(api: Management) -> None:
    ids = [api.good("POST", "agents/7/checkpoints", {"state": state(n), "kind": "auto"})["id"] for n in (1, 2, 3)]
    changes = api.good("GET", f"checkpoints/{ids[1]}/diff?with={ids[0]}")["changes"]
    assert {"path": "iteration", "kind": "changed", "before": 1, "after": 2} in changes
    done = api.good("POST", f"checkpoints/{ids[1]}/restore", {"reason": "r"})
    assert (done["epoch"], done["checkpoint"]["id"], done["pre_restore"]["iteration"]) == (1, ids[1], 3)
    assert api.error(409, "POST", "agents/7/checkpoints", {"state": {}, "epoch": 0})["code"] == "stale_epoch"
    assert api.good("POST", "agents/7/checkpoints/rollback", {})["checkpoint"]["id"] == ids[0]
    would = api.good("POST", "agents/7/checkpoints/cleanup", {"keep_count": 1, "dry_run": True})
    assert would["ids"]
    assert api.good("POST", "agents/7/checkpoints/cleanup", {"keep_count": 1})["ids"] == would["ids"]
    assert api.error(400, "POST", "agents/7/checkpoints/cleanup", {"keep_count": 0})["param"] == "keep_count"
    assert api.good("GET", "agents/7/checkpoints/latest")["id"] == ids[0]


def test_a_task_is_found_without_its_agent(api: Management) -> None:
    checkpoint_save(agent_id="7", state=state(1))
    checkpoint_save(agent_id="8", state=state(2))
    assert api.good("GET", "checkpoints/latest?task_id=t_1")["agent_id"] == "8"
    assert api.good("GET", "checkpoints/latest?task_id=t_1&agent_id=7")["agent_id"] == "7"
    assert api.error(400, "GET", "checkpoints/latest")["param"] == "task_id"


def test_what_was_exported_can_be_imported_for_another_agent(api: Management) -> None:
    for n in (1, 2):
        checkpoint_save(agent_id="7", state=state(n), label=f"l{n}")
    answer = api.ask("GET", "checkpoints/export?agent_id=7")
    bundle = b"".join(answer.streaming_content)
    assert [one["outcome"] for one in api.good("POST", "checkpoints/import", bundle.decode())] == ["there already"] * 2
    made = api.good("POST", "checkpoints/import?agent_id=9", bundle.decode())
    assert [one["agent_id"] for one in made] == ["9", "9"]
    assert api.good("GET", "agents/9/checkpoints/latest")["state"] == state(2)
    broken = bundle.replace(b"step 2", b"step X").decode()
    assert api.error(409, "POST", "checkpoints/import?agent_id=10", broken)["code"] == "checkpoint_corrupt"
    assert not Checkpoint.objects.filter(agent_id="10").exists()


def test_a_download_is_the_document_as_it_was_saved(api: Management) -> None:
    kept = checkpoint_save(agent_id="7", state=state(1))
    document = api.ask("GET", f"checkpoints/{kept.id}/download").content
    assert len(document) == kept.size
    assert json.loads(document)["state"] == state(1)


def test_nan_in_a_body_is_refused(api: Management) -> None:
    error = api.error(400, "POST", "agents/7/checkpoints", '{"state": {"x": NaN}}')
    assert "NaN" in error["message"]
    assert Checkpoint.objects.count() == 0


def test_bodies_larger_than_other_apis_take_are_kept(api: Management) -> None:
    large = {"text": "x" * (9 * 1024 * 1024)}
    assert api.good("POST", "agents/7/checkpoints", {"state": large})["size"] > 9 * 1024 * 1024
    error = api.error(413, "POST", "agents/7/checkpoints", {"state": {"text": "x" * (17 * 1024 * 1024)}})
    assert error["code"] == "checkpoint_too_large"


def test_roles_decide_who_does_what(api: Management) -> None:
    kept = checkpoint_save(agent_id="7", state=state(1))
    viewer, operator = as_person(VIEWERS), as_person(OPERATORS)
    viewer.good("GET", f"checkpoints/{kept.id}")
    viewer.error(403, "POST", f"checkpoints/{kept.id}/restore", {})
    viewer.error(403, "POST", "agents/7/checkpoints/cleanup", {})
    viewer.error(403, "DELETE", f"checkpoints/{kept.id}")
    operator.good("POST", f"checkpoints/{kept.id}/restore", {})
    refused = operator.error(403, "POST", f"checkpoints/{kept.id}/restore", {"agent_id": "8"})
    assert refused["code"] == "checkpoint_forbidden"
    assert api.good("POST", f"checkpoints/{kept.id}/restore", {"agent_id": "8"})["checkpoint"]["agent_id"] == "8"


def test_agents_see_their_own_alone(agent: Agent, directory: Directory) -> None:
    theirs = checkpoint_save(agent_id="a_b", state=state(9))
    mine = agent.good("POST", "checkpoints", {"state": state(1)})
    assert mine["agent_id"] == "a"
    assert agent.good("GET", "checkpoints") == [mine]
    assert agent.good("GET", "checkpoints/latest")["id"] == mine["id"]
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/diff?with=x")):
        code = agent.code(
            404 if "diff" in path else 403, method, f"checkpoints/{theirs.id}{path}", {} if method != "GET" else None
        )
        assert code in ("checkpoint_forbidden", "checkpoint_not_found")
    assert Checkpoint.objects.filter(id=theirs.id).exists()
    assert Agent(directory.add("a_b")).good("GET", "checkpoints")[0]["id"] == theirs.id


def test_strangers_and_administrators_are_no_agents(agent: Agent, api: Management) -> None:
    for token in ("", "aht_9_wrong", TOKEN, "é"):
        response = Agent(token).ask("GET", "checkpoints")
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
    assert api.client.get("/api/agent/checkpoints").status_code == 401


def test_an_agent_that_names_no_epoch_has_to_load_after_a_restore(agent: Agent) -> None:
    first = agent.good("POST", "checkpoints", {"state": state(1)})
    agent.good("POST", "checkpoints", {"state": state(2)})
    epoch = agent.good("POST", f"checkpoints/{first['id']}/restore", {})["epoch"]
    assert agent.code(409, "POST", "checkpoints", {"state": state(3)}) == "stale_epoch"
    assert agent.good("GET", "checkpoints/latest")["line"]["epoch"] == epoch
    agent.good("POST", "checkpoints", {"state": state(4), "epoch": epoch})
    assert agent.good("POST", "checkpoints/rollback", {})["checkpoint"]["id"] == first["id"]


def test_threads_are_their_agents_own(agent: Agent, directory: Directory) -> None:
    row = {
        "thread_id": "t/../[1]", "namespace": "", "checkpoint_id": "1", "parent_id": "", "metadata": {"step": 1},
        "versions": {}, "inline": [], "kind": "msgpack", "body": "gA==", "values": [], "writes": [],
    }  # fmt: skip
    agent.good("POST", "graphs/put", row)
    place = {"thread_id": "t/../[1]", "namespace": ""}
    assert agent.good("POST", "graphs/get", place)["row"]["checkpoint_id"] == "1"
    assert Agent(directory.add("a_b")).good("POST", "graphs/get", place)["row"] is None
    assert agent.code(400, "POST", "graphs/put", row | {"body": "no base64"}) == "invalid_request"
    assert agent.code(400, "POST", "graphs/put", row | {"thread_id": "a\0b"}) in (
        "invalid_request",
        "state_not_storable",
    )
