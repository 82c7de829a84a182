from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from heartbeat.models import Alert
from heartbeat.services.alerts import alert_raise, alert_resolve
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db
LIST = "/admin/heartbeat/alert/"


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def raised(source: str, *, severity: str = "warning") -> Alert:
    alert_raise(rule="backend_error", severity=severity, source=source, summary="<b>It</b> failed.", details={"n": 1})
    return Alert.objects.get(source=source)


def staff(role: str) -> Client:
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_alerts_are_listed_by_state(management: Management) -> None:
    raised("backend:a")
    raised("backend:b")
    alert_resolve(rule="backend_error", source="backend:b")
    assert [alert["source"] for alert in management.good("GET", "alerts?state=firing")] == ["backend:a"]
    assert {alert["source"] for alert in management.good("GET", "alerts")} == {"backend:a", "backend:b"}
    assert management.ask("GET", "alerts?limit=1")["X-Total-Count"] == "2"
    assert management.error(400, "GET", "alerts?state=burning")["param"] == "state"
    listed = management.good("GET", "alerts?state=firing")[0]
    assert (listed["details"], listed["count"], listed["severity"]) == ({"n": 1}, 1, "warning")
    assert "fingerprint" not in listed


def test_alerts_are_acknowledged_and_resolved_by_name(management: Management) -> None:
    path = f"alerts/{raised('backend:a').id}"
    seen = management.good("POST", f"{path}/acknowledge")
    assert (seen["state"], seen["acknowledged_by"]) == ("acknowledged", "API token")
    operator = Management(staff("Operators"))
    assert operator.good("POST", f"{path}/acknowledge")["acknowledged_by"] == "API token"
    over = operator.good("POST", f"{path}/resolve")
    assert (over["state"], over["resolved_by"]) == ("resolved", "operators")
    assert management.good("POST", f"{path}/resolve")["resolved_at"] == over["resolved_at"]
    management.error(404, "POST", "alerts/alt_nope/acknowledge")
    management.error(404, "POST", "alerts/alt_nope/resolve")


def test_viewers_look_and_do_nothing(management: Management) -> None:
    alert = raised("backend:a")
    viewer = staff("Viewers")
    assert len(Management(viewer).good("GET", "alerts")) == 1
    Management(viewer).error(403, "POST", f"alerts/{alert.id}/acknowledge")
    assert viewer.get(LIST).status_code == 200
    viewer.post(LIST, {"action": "resolve", "_selected_action": [alert.id]})
    assert Alert.objects.get().state == "firing"


def test_the_page_of_alerts_filters_and_acts() -> None:
    calm, bad = raised("backend:calm", severity="info"), raised("backend:bad", severity="critical")
    operator = staff("Operators")
    page = operator.get(f"{LIST}?severity__exact=critical").content.decode()
    assert "backend:bad" in page
    assert "backend:calm" not in page
    assert "&lt;b&gt;It" in page
    assert operator.get(f"{LIST}{bad.id}/change/").status_code == 200
    assert operator.get(f"{LIST}add/").status_code == 403
    operator.post(LIST, {"action": "acknowledge", "_selected_action": [calm.id, bad.id]})
    operator.post(LIST, {"action": "resolve", "_selected_action": [calm.id]})
    assert dict(Alert.objects.values_list("source", "state")) == {
        "backend:calm": "resolved",
        "backend:bad": "acknowledged",
    }
    assert set(Alert.objects.values_list("acknowledged_by", flat=True)) == {"operators"}
