from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from providers.models import Backend
from tests.factories import API_KEY, make_backend
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db
NEW = {"name": "new", "api_base_url": "http://127.0.0.1:1/v1", "api_key": API_KEY}


@pytest.fixture(autouse=True)
def token() -> Iterator[None]:
    with with_environment(admin_token=TOKEN):
        yield


def signed_in(role: str = "", *, staff: bool = True, csrf: bool = False) -> Management:
    user = User.objects.create_user(f"{role or 'somebody'}", is_staff=staff)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client(enforce_csrf_checks=csrf)
    client.force_login(user)
    return Management(client)


OPEN = ("api/docs", "api/ping", "api/auth/login")
"""What redirects to the sign-in page, and what is there for strangers (docs/reference/open-routes.md)."""


def api_paths() -> list[str]:
    found = []

    def walk(patterns: list[Any], prefix: str) -> None:
        for each in patterns:
            path = prefix + str(each.pattern)
            if isinstance(each, URLResolver):
                walk(each.url_patterns, path)
            elif isinstance(each, URLPattern) and path.startswith("api/") and path not in OPEN:
                found.append(path)

    walk(get_resolver().url_patterns, "")
    return found


def test_there_are_paths_to_try() -> None:
    assert len(api_paths()) >= 15


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}])
def test_nothing_of_the_api_answers_strangers(headers: dict[str, str]) -> None:
    client = Client(headers=headers)
    for path in api_paths():
        address = "/" + path.replace("<str:backend_id>", "x").replace("<str:key_id>", "x").replace("<str:key>", "x")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            response = client.generic(method, address.replace("<str:name>", "x"))
            assert response.status_code in (401, 405), (method, path, response.status_code)
            assert response.json()["error"]["type"] in ("authentication_error", "invalid_request_error")
            if response.status_code == 401:
                assert response["WWW-Authenticate"].startswith("Bearer")


def test_without_a_token_set_no_token_opens() -> None:
    with with_environment(admin_token=None):
        for bearer in ("None", "", TOKEN):
            client = Client(headers={"authorization": f"Bearer {bearer}"})
            assert client.get("/api/admin/backends").status_code == 401


def test_a_token_of_other_characters_is_only_wrong() -> None:
    assert Client(headers={"authorization": "Bearer ünïcode"}).get("/api/admin/backends").status_code == 401


def test_people_who_are_no_staff_are_refused() -> None:
    assert signed_in(staff=False).error(403, "GET", "backends")["type"] == "permission_error"


def test_staff_without_a_role_sees_nothing() -> None:
    signed_in().error(403, "GET", "backends")


def test_viewers_read_and_change_nothing() -> None:
    backend, viewer = make_backend(), signed_in("Viewers")
    for path in ("backends", f"backends/{backend.id}", "pools", "stats/total", "config", "keys", "stats/cooldown"):
        viewer.good("GET", path)
    viewer.error(403, "POST", "backends", NEW)
    viewer.error(403, "POST", f"backends/{backend.id}/test")
    viewer.error(403, "POST", f"backends/{backend.id}/discover", {"apply": True})
    viewer.error(403, "POST", f"backends/{backend.id}/clear-cooldown")
    viewer.error(403, "PATCH", f"backends/{backend.id}", {"enabled": False})
    viewer.error(403, "DELETE", f"backends/{backend.id}")
    viewer.error(403, "POST", "keys", {"name": "mine"})
    viewer.error(403, "PUT", "config/queue_max_depth", {"value": 1})


def test_operators_change_backends_and_keys_but_no_settings() -> None:
    operator = signed_in("Operators")
    operator.good("POST", "backends", NEW)
    operator.good("POST", "keys", {"name": "mine"})
    operator.error(403, "PUT", "config/queue_max_depth", {"value": 1})


def test_administrators_change_settings() -> None:
    signed_in("Administrators").good("PUT", "config/queue_max_depth", {"value": 1})


def test_a_session_needs_the_csrf_token_to_change_something() -> None:
    operator = signed_in("Operators", csrf=True)
    operator.good("GET", "backends")
    assert "CSRF" in operator.error(403, "POST", "backends", NEW)["message"]
    assert not Backend.objects.exists()


def test_the_trail_names_the_person_and_the_token() -> None:
    signed_in("Operators").good("POST", "keys", {"name": "of a person"})
    Management().good("POST", "keys", {"name": "of the token"})
    by_person = LogEntry.objects.get(object_repr__startswith="of a person")
    by_token = LogEntry.objects.get(object_repr__startswith="of the token")
    assert str(by_person.actor) == "Operators"
    assert (by_token.actor, by_token.additional_data) == (None, {"actor": "API token"})


def test_what_no_route_has_is_refused_in_the_same_shape() -> None:
    error = Management().error(405, "DELETE", "backends")
    assert error["code"] == "method_not_allowed"
