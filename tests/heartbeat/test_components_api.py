from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from heartbeat.models import Component
from heartbeat.rules.components import Kind
from heartbeat.services.components import component_beat, component_register, component_seen
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db
LIST = "/admin/heartbeat/component/"


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def staff(role: str) -> Client:
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_an_operator_registers_changes_and_takes_away_a_component(management: Management) -> None:
    made = management.good("POST", "components", {"name": "nightly", "interval_seconds": 3600})
    assert (made["status"], made["kind"], made["check"], made["errors"]) == ("new", "custom", "none", [])
    management.error(409, "POST", "components", {"name": "nightly"})
    changed = management.good("PATCH", "components/nightly", {"stale_factor": 3, "paused": True})
    assert (changed["status"], changed["stale_factor"], changed["interval_seconds"]) == ("paused", 3, 3600)
    assert management.good("PATCH", "components/nightly", {"paused": False})["status"] == "new"
    assert [each["name"] for each in management.good("GET", "components?status=new")] == ["nightly"]
    assert management.good("GET", "components?kind=web") == []
    management.good("DELETE", "components/nightly")
    management.error(404, "GET", "components/nightly")
    actions = LogEntry.objects.filter(object_repr="nightly").values_list("action", flat=True)
    assert sorted(set(actions)) == [0, 1, 2]  # created, updated and deleted, and by whom


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "cron"}, "name"),
        ({"name": "a", "interval_seconds": 0}, "interval_seconds"),
        ({"name": "a", "stale_factor": 0.5}, "stale_factor"),
        ({"name": "a", "timeout_seconds": 61}, "timeout_seconds"),
        ({"name": "a", "check": "ping"}, "check"),
        ({"name": "a", "check": "http"}, "parameters"),
        ({"name": "a", "check": "callable", "parameters": {"path": "os.system"}}, "parameters"),
        (
            {
                "name": "a",
                "check": "callable",
                "parameters": {"path": "heartbeat.component_checks.disk", "arguments": {"no": 1}},
            },
            "parameters",
        ),
    ],
)
def test_what_is_wrong_is_named(management: Management, body: dict[str, Any], field: str) -> None:
    assert management.error(400, "POST", "components", body)["param"] == field
    assert not Component.objects.exists()


def test_beats_come_by_the_api(management: Management) -> None:
    component_register(name="own", values={})
    assert management.good("POST", "components/own/beat", {"sequence": 4})["status"] == "healthy"
    assert management.good("POST", "components/own/beat", {"sequence": 2})["sequence"] == 4
    burnt = management.good("POST", "components/own/beat", {"status": "error", "text": "burnt"})
    assert (burnt["status"], [error["text"] for error in burnt["errors"]]) == ("error", ["burnt"])
    assert management.good("POST", "components/own/beat")["status"] == "healthy"
    management.error(404, "POST", "components/nobody/beat")
    management.error(400, "POST", "components/own/beat", {"sequence": -1})


def test_a_beat_under_the_other_name_of_a_part_is_answered_and_not_counted(management: Management) -> None:
    component_seen(name="worker.scheduler@here", kind=Kind.SCHEDULER)
    answer = management.good("POST", "components/cron/beat")
    assert (answer["name"], answer["sequence"]) == ("worker.scheduler@here", 1)
    assert [each["name"] for each in management.good("GET", "components?kind=cron")] == ["worker.scheduler@here"]
    management.error(404, "POST", "components/session/beat")


def test_a_check_is_asked_for(management: Management) -> None:
    component_register(name="waits", values={})
    component_register(
        name="port", values={"check_kind": "tcp", "parameters": {"host": "a", "port": 1}, "next_check_at": 9e12}
    )
    management.good("POST", "components/port/check")
    assert Component.objects.get(name="port").next_check_at == 0
    management.error(409, "POST", "components/waits/check")


def test_commands_are_for_administrators() -> None:
    body = {"name": "uptime", "check": "command", "parameters": {"command": ["uptime"]}}
    error = Management(staff("Operators")).error(400, "POST", "components", body)
    assert "Only administrators" in error["message"]
    Management(staff("Administrators")).good("POST", "components", body)
    operator = Client()
    operator.force_login(User.objects.get(username="operators"))
    Management(operator).error(400, "PATCH", "components/uptime", {"parameters": {"command": ["reboot"]}})
    Management(operator).good("PATCH", "components/uptime", {"interval_seconds": 60})


def test_viewers_look_and_do_nothing() -> None:
    component_register(name="own", values={})
    viewer = staff("Viewers")
    assert len(Management(viewer).good("GET", "components")) == 1
    Management(viewer).error(403, "POST", "components/own/beat")
    viewer.post(LIST, {"action": "pause", "_selected_action": [Component.objects.get().pk]})
    assert Component.objects.get().status == "new"


def test_the_page_of_components_shows_and_acts() -> None:
    component = component_register(
        name="own", values={"check_kind": "tcp", "parameters": {"host": "a", "port": 1}, "next_check_at": 9e12}
    )
    component_beat(name="own", note="<b>fine")
    operator = staff("Operators")
    page = operator.get(LIST).content.decode()
    assert "healthy" in page
    assert "&lt;b&gt;fine" in page
    assert operator.get(f"{LIST}{component.pk}/change/").status_code == 200

    def act(action: str) -> Component:
        operator.post(LIST, {"action": action, "_selected_action": [component.pk]})
        return Component.objects.get()

    assert act("check_now").next_check_at == 0
    assert act("pause").status == "paused"
    assert act("resume").status == "new"


def test_the_form_makes_and_changes_components() -> None:
    operator = staff("Operators")
    fields = {
        "name": "own",
        "interval_seconds": "60",
        "stale_factor": "2",
        "check_kind": "tcp",
        "timeout_seconds": "5",
        "parameters": '{"host": "a", "port": 1}',
        "node": "",
    }
    answer = operator.post(f"{LIST}add/", fields | {"parameters": "{}"})
    assert "needs host and port" in answer.content.decode()
    assert operator.post(f"{LIST}add/", fields | {"check_kind": "command"}).status_code == 200
    assert operator.post(f"{LIST}add/", fields).status_code == 302
    component = Component.objects.get()
    component_beat(name="own")
    change = f"{LIST}{component.pk}/change/"
    assert operator.post(change, fields | {"interval_seconds": "90"}).status_code == 302
    component.refresh_from_db()
    assert (component.interval_seconds, component.status, component.kind) == (90, "healthy", "custom")
