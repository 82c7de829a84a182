"""The management API of client keys."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.errors import NotFound
from agenthub.core.serializer_fields import UsdSerializerField
from proxy.models import LARGEST_CACHE_SECONDS, LARGEST_LIMIT, LARGEST_TPM, ClientKey
from proxy.rules.caller import Period
from proxy.rules.tags import LONGEST_TAG, MOST_TAGS
from proxy.selectors import client_keys, client_keys_tagged
from proxy.services import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    CreatedKey,
    client_key_create,
    client_key_revoke,
    client_key_rotate,
    client_key_update,
)

MOST_PATTERNS = 500
PERIODS = [period.value for period in Period]


def _limit(largest: int, about: str) -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=largest, help_text=about)


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
    team = serializers.CharField(required=False, allow_blank=True, max_length=64)
    tags = serializers.ListField(
        required=False,
        child=serializers.CharField(max_length=LONGEST_TAG),
        max_length=MOST_TAGS,
        help_text="Words to find and group keys by.",
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
    rpm_limit = _limit(LARGEST_LIMIT, "Requests per minute; null for no limit.")
    tpm_limit = _limit(LARGEST_TPM, "Tokens per minute; null for no limit.")
    max_parallel = _limit(LARGEST_LIMIT, "Requests that may run at the same time; null for no limit.")
    budget_usd = UsdSerializerField(
        required=False, allow_null=True, help_text="USD that it may spend in each period, above zero; null: no limit."
    )
    budget_period = serializers.ChoiceField(
        required=False, choices=PERIODS, help_text="How often the budget begins anew: month unless told."
    )
    default_model = serializers.CharField(required=False, allow_blank=True, max_length=200)
    resume = serializers.BooleanField(required=False)
    cache_seconds = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_CACHE_SECONDS)


class KeyAnswer(serializers.ModelSerializer[ClientKey]):
    """A client key, without the key."""

    owner: Any = serializers.SlugRelatedField(slug_field="username", read_only=True, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    allowed_models = serializers.ListField(child=serializers.CharField())
    budget_usd = UsdSerializerField(allow_null=True)
    budget_period = serializers.ChoiceField(choices=PERIODS)

    class Meta:
        model = ClientKey
        fields = (
            "id",
            "name",
            "prefix",
            "previous_prefix",
            "previous_until",
            "owner",
            "team",
            "tags",
            "agent_id",
            "enabled",
            "expires_at",
            "allowed_models",
            "rpm_limit",
            "tpm_limit",
            "max_parallel",
            "budget_usd",
            "budget_period",
            "default_model",
            "resume",
            "cache_seconds",
            "created_at",
            "updated_at",
        )


class NewKeyAnswer(KeyAnswer):
    """A new client key, with the key, which is shown this once."""

    key = serializers.CharField(read_only=True, help_text="Shown this once; only its hash is stored.")

    class Meta:
        model = ClientKey
        fields = (*KeyAnswer.Meta.fields, "key")


class RotateInput(serializers.Serializer[Any]):
    """How to rotate a key."""

    overlap_seconds = serializers.IntegerField(
        default=OVERLAP_SECONDS,
        min_value=0,
        max_value=LONGEST_OVERLAP_SECONDS,
        help_text="How long the old key works beside the new one.",
    )


class RevokedAnswer(serializers.Serializer[Any]):
    """What was revoked."""

    status = serializers.CharField()
    id = serializers.CharField()


class KeysView(ManagementView):
    """All client keys, and issuing one."""

    permission_model = ClientKey
    operations: ClassVar = {
        "get": Operation(
            "keys_list",
            "List client keys, newest first",
            answer=KeyAnswer,
            many=True,
            query=(
                Query("owner", help="Only those of this user."),
                Query("team", help="Only those of this team."),
                Query("tag", help="Only those that have this tag."),
            ),
        ),
        "post": Operation("keys_create", "Issue a client key", answer=NewKeyAnswer, body=KeyInput, status=201),
    }

    def get(self, request: Request) -> Response:
        """The keys, without what they are."""
        owner, team, tag = (text_asked(request, name) for name in ("owner", "team", "tag"))
        of_them = {"owner": owner, "team": team}
        page = page_asked(request, client_keys_tagged(tag, **of_them) if tag else client_keys(**of_them))
        return Response(KeyAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Issue one; this answer is the only place that ever holds it."""
        given = KeyInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        created = client_key_create(**given.validated_data)
        return _shown_once(created, status=201, headers={"Location": f"/api/admin/keys/{created.row.id}"})


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


class KeyRotateView(ManagementView):
    """A new key in place of one that is in use."""

    permission_model = ClientKey
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "keys_rotate",
            "Give a client key's row a new key; the old one works for the overlap",
            answer=NewKeyAnswer,
            body=RotateInput,
            errors=(404,),
        ),
    }

    def post(self, request: Request, key_id: str) -> Response:
        """Rotate it; this answer is the only place that ever holds the new key."""
        _key(key_id)
        given = RotateInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        return _shown_once(client_key_rotate(key_id=key_id, **given.validated_data), status=200, headers={})


def _shown_once(created: CreatedKey, *, status: int, headers: dict[str, str]) -> Response:
    answer = KeyAnswer(created.row).data | {"key": created.key}
    return Response(answer, status=status, headers={"Cache-Control": "no-store", **headers})


def _key(key_id: str) -> ClientKey:
    row = client_keys().filter(id=key_id).first()
    if row is None:
        raise NotFound(f"There is no client key {key_id[:40]}; GET /api/admin/keys lists them.", param="id")
    return row
