import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from proxy.models import ClientKey
from proxy.services import client_key_create, key_digest

pytestmark = pytest.mark.django_db
LIST = "/admin/proxy/clientkey/"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_new_key_is_shown_once_and_kept_nowhere(admin: Client) -> None:
    response = admin.post(f"{LIST}add/", {"name": "ci", "enabled": "on", "allowed_models": "gpt-4*\n\n team/* \n"})
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
    admin.post(f"{LIST}{row.pk}/change/", {"name": "renamed", "allowed_models": ""})
    row.refresh_from_db()
    assert (row.name, row.enabled) == ("renamed", False)
    admin.post(LIST, {"action": "enable", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.enabled
    admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert not ClientKey.objects.exists()
