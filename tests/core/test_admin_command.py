"""`agenthub admin reset-password`."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

pytestmark = pytest.mark.django_db
OLD, NEW = "the old password 1", "the new password 2"


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin", password=OLD)


def reset(*words: str) -> str:
    out = StringIO()
    call_command("admin", "reset-password", *words, stdout=out)
    return out.getvalue()


def test_a_password_is_made_and_shown_once_and_sessions_end(admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    assert browser.get("/admin/").status_code == 200
    password = json.loads(reset("--json"))["password"]
    admin.refresh_from_db()
    assert admin.check_password(password)
    assert not admin.check_password(OLD)
    assert browser.get("/admin/").status_code == 302


def test_a_given_password_is_not_shown(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(NEW + "\n"))
    assert NEW not in reset("admin", "--stdin")
    admin.refresh_from_db()
    assert admin.check_password(NEW)


def test_a_bad_password_changes_nothing(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    with pytest.raises(CommandError, match="at least 10"):
        reset("admin", "--stdin")
    admin.refresh_from_db()
    assert admin.check_password(OLD)


def test_an_unknown_user_is_named_with_those_that_are_known(admin: User) -> None:
    with pytest.raises(CommandError, match=r"There is no user nobody\. .*: admin\."):
        reset("nobody")


def test_a_user_who_is_not_active_is_mentioned(admin: User) -> None:
    User.objects.update(is_active=False)
    assert "is not active" in reset()
