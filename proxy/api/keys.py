"""The management API of client keys."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, json_object, page_asked
from agenthub.core.errors import NotFound
from proxy.models import ClientKey
from proxy.selectors import client_keys
from proxy.services import client_key_create, client_key_revoke, client_key_update

MOST_PATTERNS = 500


class KeyInput(serializers.Serializer[ClientKey]):
    """A client key in a request. What is not given stays as it is, or is the default of a new one."""

    name = serializers.CharField(max_length=128)
    owner = serializers.SlugRelatedField(
        required=False,
        allow_null=True,
        slug_field="username",
        queryset=User.objects.all(),
        error_messages={"does_not_exist": "There is no user {value}."},
    )
    agent_id = serializers.CharField(required=False, allow_blank=True, max_length=64)
    enabled = serializers.BooleanField(required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    allowed_models = serializers.ListField(
        required=False,
        child=serializers.CharField(max_length=200),
        max_length=MOST_PATTERNS,
        help_text="Patterns such as gpt-4*; an empty list means all models.",
    )


class KeyAnswer(serializers.ModelSerializer[ClientKey]):
    """A client key, without the key."""

    owner: Any = serializers.SlugRelatedField(slug_field="username", read_only=True, allow_null=True)
    allowed_models = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ClientKey
        fields = (
            "id",
            "name",
            "prefix",
            "owner",
            "agent_id",
            "enabled",
            "expires_at",
            "allowed_models",
            "created_at",
            "updated_at",
        )


class NewKeyAnswer(KeyAnswer):
    """A new client key, with the key, which is shown this once."""

    key = serializers.CharField(read_only=True, help_text="Shown this once; only its hash is stored.")

    class Meta:
        model = ClientKey
        fields = (*KeyAnswer.Meta.fields, "key")


class RevokedAnswer(serializers.Serializer[Any]):
    """What was revoked."""

    status = serializers.CharField()
    id = serializers.CharField()


class KeysView(ManagementView):
    """All client keys, and issuing one."""

    permission_model = ClientKey
    operations: ClassVar = {
        "get": Operation("keys_list", "List client keys, newest first", answer=KeyAnswer, many=True),
        "post": Operation("keys_create", "Issue a client key", answer=NewKeyAnswer, body=KeyInput, status=201),
    }

    def get(self, request: Request) -> Response:
        """The keys, without what they are."""
        page = page_asked(request, client_keys())
        return Response(KeyAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Issue one; this answer is the only place that ever holds it."""
        given = KeyInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        created = client_key_create(**given.validated_data)
        created_answer = KeyAnswer(created.row).data | {"key": created.key}
        headers = {"Cache-Control": "no-store", "Location": f"/api/admin/keys/{created.row.id}"}
        return Response(created_answer, status=201, headers=headers)


class KeyView(ManagementView):
    """One client key."""

    permission_model = ClientKey
    operations: ClassVar = {
        "get": Operation("keys_read", "Read a client key", answer=KeyAnswer, errors=(404,)),
        "patch": Operation("keys_change", "Change a client key", answer=KeyAnswer, body=KeyInput, errors=(404,)),
        "delete": Operation("keys_revoke", "Revoke a client key for good", answer=RevokedAnswer, errors=(404,)),
    }

    def get(self, _request: Request, key_id: str) -> Response:
        """Read it."""
        return Response(KeyAnswer(_key(key_id)).data)

    def patch(self, request: Request, key_id: str) -> Response:
        """Change what is given."""
        row = _key(key_id)
        given = KeyInput(row, data=json_object(request), partial=True)
        given.is_valid(raise_exception=True)
        for column, value in given.validated_data.items():
            setattr(row, column, value)
        client_key_update(row)
        return Response(KeyAnswer(_key(key_id)).data)

    def delete(self, _request: Request, key_id: str) -> Response:
        """Revoke it, in every process within a second."""
        _key(key_id)
        client_key_revoke(key_id)
        return Response({"status": "deleted", "id": key_id})


def _key(key_id: str) -> ClientKey:
    row = client_keys().filter(id=key_id).first()
    if row is None:
        raise NotFound(f"There is no client key {key_id[:40]}; GET /api/admin/keys lists them.", param="id")
    return row
