import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.core.admin.base import MOST_COUNTED, BoundedPaginator
from agenthub.core.models import SystemConfig
from agenthub.core.params import PARAMS
from agenthub.core.settings_store import runtime_settings, setting_set

pytestmark = pytest.mark.django_db
SETTINGS = "/admin/core/systemconfig/"


def signed_in(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_every_setting_is_on_the_page_with_a_form_of_its_own() -> None:
    admin = signed_in("Administrators")
    page = admin.get(SETTINGS).content.decode()
    for key in PARAMS:
        assert f"{SETTINGS}{key}/change/" in page
        assert admin.get(f"{SETTINGS}{key}/change/").status_code == 200
    assert admin.get(f"{SETTINGS}nope/change/").status_code == 404


def test_a_setting_is_set_refused_and_put_back() -> None:
    admin = signed_in("Administrators")
    path = f"{SETTINGS}queue_max_depth/change/"
    assert admin.post(path, {"value": "7", "description": "small"}).status_code == 302
    assert runtime_settings().queue_max_depth == 7
    assert b"greater than or equal to 0" in admin.post(path, {"value": "-1"}).content
    assert admin.post(path, {"_default": "1"}).status_code == 302
    assert not SystemConfig.objects.exists()
    admin.post(f"{SETTINGS}cooldown_exponential_backoff/change/", {"description": ""})
    assert runtime_settings().cooldown_exponential_backoff is False


def test_a_contradiction_is_told_in_the_form() -> None:
    answer = signed_in("Administrators").post(f"{SETTINGS}cooldown_base_seconds/change/", {"value": "700"})
    assert b"larger than cooldown_max_seconds" in answer.content


def test_a_locked_setting_shows_its_variable_and_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_QUEUE_MAX_DEPTH", "9")
    admin = signed_in("Administrators")
    assert "AGENTHUB_QUEUE_MAX_DEPTH" in admin.get(SETTINGS).content.decode()
    assert admin.post(f"{SETTINGS}queue_max_depth/change/", {"value": "7"}).status_code == 403


def test_operators_see_settings_and_change_none() -> None:
    operator = signed_in("Operators")
    assert operator.get(SETTINGS).status_code == 200
    assert operator.post(f"{SETTINGS}queue_max_depth/change/", {"value": "7"}).status_code == 403
    assert runtime_settings().queue_max_depth == 500


def test_the_trail_shows_who_did_what_and_can_not_be_changed() -> None:
    admin = signed_in("Administrators")
    admin.post(f"{SETTINGS}queue_max_depth/change/", {"value": "7"})
    entry = LogEntry.objects.latest("id")
    page = admin.get("/admin/auditlog/logentry/").content.decode()
    assert "queue_max_depth" in page
    assert "Administrators" in page
    assert admin.get(f"/admin/auditlog/logentry/{entry.pk}/change/").status_code == 200
    assert admin.post(f"/admin/auditlog/logentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin.post("/admin/auditlog/logentry/add/", {}).status_code == 403


def test_values_in_the_trail_are_escaped() -> None:
    setting_set(key="health_probe_endpoint", value="/<script>alert(1)</script>")
    entry = LogEntry.objects.latest("id")
    page = signed_in("Administrators").get(f"/admin/auditlog/logentry/{entry.pk}/change/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_pages_are_counted_no_further_than_anybody_pages() -> None:
    assert BoundedPaginator(range(MOST_COUNTED * 2), 50).count == MOST_COUNTED * 2
    SystemConfig.objects.bulk_create(SystemConfig(key=f"k{number}", value="1") for number in range(MOST_COUNTED + 5))
    assert BoundedPaginator(SystemConfig.objects.order_by("key"), 50).count == MOST_COUNTED
