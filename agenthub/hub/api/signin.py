"""Signing in for programs and pages of people: a token for a day, and tickets for WebSockets."""

import time
from collections import OrderedDict, deque
from typing import Any, ClassVar

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import HouseView, Operation, fields_of
from agenthub.core.errors import InvalidKey, RateLimited
from agenthub.core.version import VERSION
from agenthub.hub.api.callers import PEOPLE, IsPerson
from agenthub.hub.models import Participant
from agenthub.hub.services.participants import participant_of, sender_of
from agenthub.hub.services.signin import person_sign_in, ticket_create

TAGS = ("people",)
MOST_FAILURES, WITHIN_SECONDS, MOST_NAMES = 10, 300.0, 10_000

_failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()


class PingAnswer(serializers.Serializer[Any]):
    """That the hub is there."""

    message = serializers.CharField(help_text="pong, as clients of EchoCenter expect it.")
    status = serializers.CharField()
    version = serializers.CharField()


class SignInInput(serializers.Serializer[Any]):
    """A name and a password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class PersonAnswer(serializers.Serializer[Any]):
    """A person."""

    id = serializers.IntegerField(help_text="By this number agents and people write to each other.")
    username = serializers.CharField()
    role = serializers.CharField(help_text="ADMIN or MEMBER.")


class SignInAnswer(serializers.Serializer[Any]):
    """A token for a day."""

    token = serializers.CharField()
    user = PersonAnswer()


class TicketAnswer(serializers.Serializer[Any]):
    """A ticket for one WebSocket."""

    ticket = serializers.CharField(help_text="/api/ws?ticket=… opens one connection with it, within 30 s.")
    expires_at = serializers.DateTimeField()


class PingView(HouseView):
    """Whether the hub is there."""

    authentication_classes = ()
    permission_classes = ()
    operations: ClassVar = {"get": Operation("ping", "Whether the hub is there", answer=PingAnswer, tags=TAGS)}

    def get(self, _request: Request) -> Response:
        """It is."""
        return Response({"message": "pong", "status": "ok", "version": VERSION})


class SignInView(HouseView):
    """Signing in."""

    authentication_classes = ()
    permission_classes = ()
    operations: ClassVar = {
        "post": Operation(
            "sign_in",
            "Sign in for a day",
            answer=SignInAnswer,
            body=SignInInput,
            errors=(429,),
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """A token; the same refusal for a wrong name and for a wrong password."""
        given = fields_of(request, SignInInput)
        username = given["username"]
        place = (str(request.META.get("REMOTE_ADDR", "")), username.lower())
        _refuse_after_failures(place)
        found = person_sign_in(username, given["password"]) if "\0" not in username else None
        if found is None:
            _note_failure(place)
            raise InvalidKey("There is no person with this name and password.")
        _failures.pop(place, None)
        user, token = found
        person = Participant.objects.get(user=user)
        sender = sender_of(user, person.pk)
        about = {"id": person.pk, "username": user.get_username(), "role": sender.role.value}
        return Response(SignInAnswer({"token": token, "user": about}).data)


class TicketView(HouseView):
    """Tickets for WebSockets."""

    authentication_classes = PEOPLE
    permission_classes = (IsPerson,)
    operations: ClassVar = {
        "post": Operation("ticket_create", "A ticket for one WebSocket", answer=TicketAnswer, status=201, tags=TAGS)
    }

    def post(self, request: Request) -> Response:
        """One."""
        person: User | Any = request.user
        participant_of(person)
        ticket, ends_at = ticket_create(person)
        return Response(TicketAnswer({"ticket": ticket, "expires_at": ends_at}).data, status=201)


def _refuse_after_failures(place: tuple[str, str]) -> None:
    times, now = _failures.get(place, deque()), time.monotonic()
    while times and now - times[0] > WITHIN_SECONDS:
        times.popleft()
    if len(times) >= MOST_FAILURES:
        raise RateLimited(
            "Too many wrong passwords for this name; wait some minutes.",
            retry_after_seconds=WITHIN_SECONDS - (now - times[0]),
        )


def _note_failure(place: tuple[str, str]) -> None:
    while len(_failures) >= MOST_NAMES:
        _failures.popitem(last=False)
    _failures.setdefault(place, deque(maxlen=MOST_FAILURES)).append(time.monotonic())
