"""The API of people: administrators make them."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, fields_of
from agenthub.core.api_access import administers
from agenthub.core.errors import Conflict, RoleNotAllowed
from agenthub.hub.api.callers import PEOPLE_AND_TOKEN
from agenthub.hub.services.participants import GROUPS, person_create

TAGS = ("people",)


class PersonInput(serializers.Serializer[Any]):
    """A new person."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)
    role = serializers.ChoiceField(choices=list(GROUPS))


class MadeAnswer(serializers.Serializer[Any]):
    """A person who was made."""

    message = serializers.CharField()
    id = serializers.IntegerField(help_text="By this number agents and people write to each other.")
    username = serializers.CharField()
    role = serializers.CharField()


class PeopleView(ManagementView):
    """People."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_model = User
    operations: ClassVar = {
        "post": Operation(
            "people_create",
            "Make a person",
            answer=MadeAnswer,
            body=PersonInput,
            status=201,
            errors=(409,),
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """Make one; nobody may give more than they have, so only administrators do."""
        if not administers(request):
            raise RoleNotAllowed("Only administrators make people.")
        values = fields_of(request, PersonInput)
        try:
            person = person_create(**values)
        except ValidationError as problem:
            wrong = problem.message_dict if hasattr(problem, "error_dict") else {"password": problem.messages}
            raise serializers.ValidationError(wrong) from None
        except IntegrityError:
            raise Conflict(f"There is a person {values['username']} already.", param="username") from None
        about = {"id": person.pk, "username": values["username"], "role": values["role"]}
        return Response({"message": "The person was made.", **about}, status=201)
