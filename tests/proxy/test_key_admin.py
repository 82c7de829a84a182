import re
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client

from proxy.models import ClientKey
from proxy.services import client_key_create, key_digest

pytestmark = pytest.mark.django_db
LIST = "/admin/proxy/clientkey/"
NEW = {"name": "ci", "allowed_models": "", "budget_period": "month", "cache_seconds": "0"}


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_new_key_is_shown_once_and_kept_nowhere(admin: Client) -> None:
    response = admin.post(f"{LIST}add/", NEW | {"enabled": "on", "allowed_models": "gpt-4*\n\n team/* \n"})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    shown = re.search(r'value="(ah-[A-Za-z0-9]{40})"', response.content.decode())
    assert shown is not None
    row = ClientKey.objects.get()
    assert (row.digest, row.prefix) == (key_digest(shown[1]), shown[1][:8])
    assert row.allowed_models == ["gpt-4*", "team/*"]
    for page in (admin.get(LIST), admin.get(f"{LIST}{row.pk}/change/")):
        assert shown[1] not in page.content.decode()
        assert row.digest not in page.content.decode()
    assert all(shown[1] not in str(session.get_decoded()) for session in Session.objects.all())
    assert all(shown[1] not in entry.change_message + entry.object_repr for entry in LogEntry.objects.all())


def test_a_key_is_changed_and_revoked(admin: Client) -> None:
    row = client_key_create(name="ci").row
    admin.post(f"{LIST}{row.pk}/change/", NEW | {"name": "renamed"})
    row.refresh_from_db()
    assert (row.name, row.enabled) == ("renamed", False)
    admin.post(LIST, {"action": "enable", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.enabled
    admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert not ClientKey.objects.exists()


def test_limits_budget_and_behaviour_are_edited(admin: Client) -> None:
    row = client_key_create(name="ci").row
    page = f"{LIST}{row.pk}/change/"
    given = {
        "team": "search",
        "tags": "ci\nnightly",
        "rpm_limit": "60",
        "tpm_limit": "",
        "max_parallel": "4",
        "budget_usd": "12.50",
        "budget_period": "week",
        "default_model": "small",
        "resume": "on",
        "cache_seconds": "300",
    }
    assert admin.post(page, NEW | given).status_code == 302
    row.refresh_from_db()
    assert (row.team, row.tags, row.rpm_limit, row.tpm_limit) == ("search", ["ci", "nightly"], 60, None)
    assert (row.max_parallel, row.budget_usd, row.budget_period) == (4, Decimal("12.5"), "week")
    assert (row.default_model, row.resume, row.cache_seconds) == ("small", True, 300)
    form = admin.get(page).content.decode()
    assert 'value="12.5"' in form
    shown = admin.get(LIST).content.decode()
    assert "60 requests/min, 4 parallel" in shown
    assert "12.5 USD per week" in shown


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rpm_limit": "0"}, "greater than or equal to 1"),
        ({"budget_usd": "0"}, "more than zero"),
        ({"budget_usd": "NaN"}, "Enter a number"),
        ({"budget_usd": "0.0000000000001"}, "12 decimal places"),
        ({"budget_usd": "90000000000"}, "can be stored"),
        ({"cache_seconds": "2592001"}, "less than or equal to 2592000"),
        ({"tags": "ci\nci"}, "twice"),
    ],
)
def test_what_can_not_be_is_said_at_its_field(admin: Client, wrong: dict[str, str], message: str) -> None:
    response = admin.post(f"{LIST}add/", NEW | wrong)
    assert response.status_code == 200
    assert message in response.content.decode()
    assert not ClientKey.objects.exists()


def test_a_rotated_key_is_shown_once(admin: Client) -> None:
    created = client_key_create(name="ci")
    page = f"{LIST}{created.row.pk}/rotate/"
    assert page in admin.get(f"{LIST}{created.row.pk}/change/").content.decode()
    assert 'value="86400"' in admin.get(page).content.decode()
    assert "less than or equal to" in admin.post(page, {"overlap_seconds": "2592001"}).content.decode()
    assert ClientKey.objects.get().previous_digest == ""

    response = admin.post(page, {"overlap_seconds": "3600"})
    assert "no-store" in response["Cache-Control"]
    shown = re.search(r'value="(ah-[A-Za-z0-9]{40})"', response.content.decode())
    assert shown is not None
    row = ClientKey.objects.get()
    assert (row.digest, row.previous_digest) == (key_digest(shown[1]), key_digest(created.key))
    after = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert f"{created.key[:8]}… works until" in after
    assert not any(secret in after for secret in (shown[1], row.digest, row.previous_digest))
    assert "ends at once" in admin.get(page).content.decode()


def test_who_may_only_look_rotates_nothing(admin: Client) -> None:
    row = client_key_create(name="ci").row
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewers"))
    admin.force_login(viewer)
    assert admin.post(f"{LIST}{row.pk}/rotate/", {"overlap_seconds": "0"}).status_code == 403
    admin.force_login(User.objects.get(username="root"))
    assert admin.get(f"{LIST}key_nope/rotate/").status_code == 404
    assert ClientKey.objects.get().previous_until is None
