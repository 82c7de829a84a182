"""Signing in for programs and pages: tokens, tickets, and those who guess."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from agenthub.hub.api import signin as signin_api
from agenthub.hub.models import Participant, Ticket
from agenthub.hub.services.signin import person_token, signed_in, ticket_take

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user("ada", password="a password for tests")
    user.groups.add(Group.objects.get(name="Members"))
    return user


@pytest.fixture(autouse=True)
def nobody_has_guessed() -> Iterator[None]:
    signin_api._failures.clear()
    yield
    signin_api._failures.clear()


def post(path: str, body: Any = None, token: str = "") -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Client(headers=headers).generic("POST", path, json.dumps(body or {}), content_type="application/json")


def test_a_person_gets_a_token_that_says_who_they_are(ada: User) -> None:
    answer = post("/api/auth/login", {"username": "ada", "password": "a password for tests"})
    assert answer.status_code == 200
    found = signed_in(answer.json()["token"])
    assert found is not None
    person = Participant.objects.get(user=ada)
    assert answer.json()["user"] == {"id": person.pk, "username": "ada", "role": "MEMBER"}
    assert (found.sender.id, found.sender.writes, found.sender.sees_agents) == (person.pk, True, False)


@pytest.mark.parametrize("name", ["ada", "nobody", "a\0b"])
def test_a_wrong_name_and_a_wrong_password_are_refused_alike(ada: User, name: str) -> None:
    answer = post("/api/auth/login", {"username": name, "password": "wrong"})
    assert (answer.status_code, answer.json()["error"]["code"]) in ((401, "invalid_api_key"), (400, "invalid_request"))


def test_who_guesses_has_to_wait_even_with_the_right_one(ada: User) -> None:
    for _ in range(10):
        assert post("/api/auth/login", {"username": "ada", "password": "wrong"}).status_code == 401
    answer = post("/api/auth/login", {"username": "ADA", "password": "a password for tests"})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert post("/api/auth/login", {"username": "bob", "password": "wrong"}).status_code == 401


def test_a_token_ends_with_the_password_and_with_the_person(ada: User) -> None:
    token = person_token(ada)
    assert signed_in(token) is not None
    assert signed_in(token[:-2]) is None
    ada.set_password("another password")
    ada.save()
    assert signed_in(token) is None
    token = person_token(ada)
    ada.is_active = False
    ada.save()
    assert signed_in(token) is None


def test_a_ticket_opens_once(ada: User) -> None:
    assert post("/api/ws/ticket").status_code == 401
    answer = post("/api/ws/ticket", token=person_token(ada))
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    person = ticket_take(ticket)
    assert person is not None
    assert person.sender.user_id == ada.pk
    assert ticket_take(ticket) is None
    assert not Ticket.objects.exists()
