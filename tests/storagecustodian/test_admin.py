"""The pages of checkpoints."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.core.access import ADMINISTRATORS, OPERATORS, VIEWERS
from storagecustodian.models import Checkpoint, Restore
from storagecustodian.selectors import latest_of_agent
from storagecustodian.services.saving import checkpoint_save
from tests.storagecustodian.factories import state
from tests.storagecustodian.test_saving import damage

pytestmark = pytest.mark.django_db
LIST = "/admin/storagecustodian/checkpoint/"


def signed_in(role: str) -> Client:
    person = User.objects.create_user(role.lower(), is_staff=True)
    person.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(OPERATORS)


def saved(*iterations: int, **more: Any) -> list[Checkpoint]:
    return [checkpoint_save(agent_id="a/b_1", state=state(n, **more)) for n in iterations]


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_the_list_shows_sizes_and_iterations(operator: Client) -> None:
    saved(41, 42, text="again " * 5_000)
    text = page(operator, LIST)
    assert "Scribe (a/b_1)" in text
    assert ">42<" in text
    assert "KB" in text
    assert "stored" in text


def test_the_page_of_one_shows_its_state_escaped(operator: Client) -> None:
    (one,) = saved(1, text="<script>alert(1)</script>")
    text = page(operator, f"{LIST}{one.id}/change/")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text


def test_a_damaged_one_says_so(operator: Client) -> None:
    (one,) = saved(1)
    damage(one)
    assert "not the one that was saved" in page(operator, f"{LIST}{one.id}/change/")
    assert operator.get(f"{LIST}{one.id}/download/").status_code == 302


def test_label_pin_and_note_can_be_changed(operator: Client) -> None:
    older, newer = saved(1, 2)
    for each in (older, newer):
        form = {"label": "good", "pinned": "on", "note": "why"}
        assert operator.post(f"{LIST}{each.id}/change/", form).status_code == 302
    rows = dict(Checkpoint.objects.values_list("id", "label"))
    assert rows == {older.id: "", newer.id: "good"}
    assert Checkpoint.objects.get(id=newer.id).note == "why"


def test_two_are_compared_the_older_one_first(operator: Client) -> None:
    first, second = saved(1, 2)
    action = {"action": "compare", "_selected_action": [second.id, first.id]}
    response = operator.post(LIST, action)
    assert response["Location"] == f"{LIST}compare/?before={first.id}&after={second.id}"
    text = page(operator, response["Location"])
    assert "messages[0].content" in text
    assert "iteration" in text


def test_comparing_needs_two(operator: Client) -> None:
    (one,) = saved(1)
    response = operator.post(LIST, {"action": "compare", "_selected_action": [one.id]}, follow=True)
    assert "Tick two checkpoints" in response.content.decode()
    assert operator.get(f"{LIST}compare/?before={one.id}").status_code == 404


def test_a_restore_asks_first(operator: Client) -> None:
    first, _ = saved(1, 2)
    address = f"{LIST}{first.id}/restore/"
    assert "What is the latest now, iteration 2" in page(operator, address)
    assert Restore.objects.count() == 0
    assert operator.post(address, {"reason": "in circles"}).status_code == 302
    row = Restore.objects.get()
    assert (row.by, row.reason) == ("operators", "in circles")
    assert latest_of_agent("a/b_1").checkpoint.id == first.id


def test_only_administrators_restore_for_another_agent(operator: Client) -> None:
    (one,) = saved(1)
    address = f"{LIST}{one.id}/restore/"
    assert "For another agent" not in page(operator, address)
    operator.post(address, {"agent_id": "8"})
    assert not Checkpoint.objects.filter(agent_id="8").exists()
    signed_in(ADMINISTRATORS).post(address, {"agent_id": "8"})
    assert latest_of_agent("8").checkpoint.kind == "restored"


def test_viewers_look_and_download_and_change_nothing() -> None:
    viewer = signed_in(VIEWERS)
    (one,) = saved(1)
    page(viewer, LIST)
    downloaded = viewer.get(f"{LIST}{one.id}/download/")
    assert downloaded.json()["state"] == state(1)
    assert one.id in downloaded["Content-Disposition"]
    assert viewer.post(f"{LIST}{one.id}/restore/", {}).status_code == 403
    assert Restore.objects.count() == 0
