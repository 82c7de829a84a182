"""What a caller of /v1 may read: the models, its own key, its own usage. Who it is comes out of memory."""

import logging
from dataclasses import asdict
from typing import Any, ClassVar, cast

from django.db import DatabaseError, InterfaceError
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import HouseView, Operation, Query, number_asked
from agenthub.core.clock import epoch_seconds, utc_now
from agenthub.core.errors import ModelNotFound
from agenthub.core.serializer_fields import UsdSerializerField
from agenthub.core.timezones import time_zone
from providers.usage_selectors import usage_of_key
from proxy import runtime, snapshot
from proxy.auth import caller_of
from proxy.rules.budget import BudgetState, budget_state
from proxy.rules.caller import Caller, Period
from proxy.rules.model_list import model_listed, models_listed
from proxy.rules.routing import near_misses
from proxy.spend_selectors import spent_picousd

logger = logging.getLogger(__name__)

LONGEST_DAYS = 366
TAGS = ("proxy",)


class ClientKeyAuthentication(BaseAuthentication):
    """The client key of `Authorization: Bearer …` or `x-api-key`, as for the POSTs of the proxy."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        """The caller. Raises InvalidKey, which the error shape knows."""
        return caller_of(_presented(request), snapshot.current(), now=epoch_seconds()), None

    def authenticate_header(self, _request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


def _presented(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("x-api-key", "").strip() or None


class IsCaller(BasePermission):
    """Authentication has said all: a caller may read what is its own."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        """Whether there is a caller."""
        return isinstance(request.user, Caller)


class CallerView(HouseView):
    """A view for callers of /v1."""

    authentication_classes = (ClientKeyAuthentication,)
    permission_classes = (IsCaller,)

    @property
    def caller(self) -> Caller:
        """Who calls, as the authentication has found out."""
        return cast(Caller, self.request.user)


class CostAnswer(serializers.Serializer[Any]):
    """The lowest prices among the backends that serve the model, USD per token."""

    input = UsdSerializerField(allow_null=True)
    output = UsdSerializerField(allow_null=True)
    cacheRead = UsdSerializerField(allow_null=True)
    cacheWrite = UsdSerializerField(allow_null=True)


class ModelAnswer(serializers.Serializer[Any]):
    """A model in OpenAI's format, with what AgentHub knows beside it."""

    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["model"])
    created = serializers.IntegerField()
    owned_by = serializers.CharField()
    context_window = serializers.IntegerField()
    max_tokens = serializers.IntegerField()
    reasoning = serializers.BooleanField()
    input_modalities = serializers.ListField(child=serializers.CharField())
    cost = CostAnswer()
    backends = serializers.IntegerField(help_text="How many enabled backends serve it.")
    alias_of = serializers.CharField(allow_null=True, help_text="The model that the name stands for; null: itself.")


class ModelListAnswer(serializers.Serializer[Any]):
    """A list in OpenAI's format."""

    object = serializers.ChoiceField(choices=["list"])
    data = ModelAnswer(many=True)  # type: ignore[assignment] # the name of the wire


class ModelsView(CallerView):
    """The models that the caller may use."""

    operations: ClassVar = {
        "get": Operation("models_list", "List models", answer=ModelListAnswer, tags=TAGS),
    }

    def get(self, request: Request) -> Response:
        """They, by name."""
        found = models_listed(snapshot.current().routing, self.caller)
        return Response({"object": "list", "data": ModelAnswer(found, many=True).data})


class ModelView(CallerView):
    """One model; its name may hold slashes."""

    operations: ClassVar = {
        "get": Operation("models_read", "Read a model", answer=ModelAnswer, errors=(404,), tags=TAGS),
    }

    def get(self, request: Request, model: str) -> Response:
        """Read it. A model that the caller may not use is not there."""
        routing = snapshot.current().routing
        found = model_listed(routing, self.caller, model)
        if found is None:
            near = near_misses(routing, self.caller, model)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise ModelNotFound(f"The model {model[:200]} does not exist here.{hint}", param="model")
        return Response(ModelAnswer(found).data)


class BudgetAnswer(serializers.Serializer[Any]):
    """What the key may spend in each period, and what it has."""

    amount = UsdSerializerField(help_text="USD.")
    period = serializers.ChoiceField(choices=[period.value for period in Period])
    spent = UsdSerializerField(allow_null=True, help_text="USD in the period that runs; null: not known at the moment.")
    remaining = UsdSerializerField(allow_null=True, help_text="USD; null where `spent` is.")
    resets_at = serializers.FloatField(allow_null=True, help_text="Epoch seconds; null: never.")


class CallerAnswer(serializers.Serializer[Any]):
    """The caller's own key."""

    id = serializers.CharField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    agent_id = serializers.CharField()
    enabled = serializers.BooleanField()
    expires_at = serializers.FloatField(allow_null=True, help_text="Epoch seconds; null: never.")
    allowed_models = serializers.ListField(child=serializers.CharField(), help_text="An empty list means all models.")
    rpm_limit = serializers.IntegerField(allow_null=True, help_text="Requests per minute; null: no limit.")
    tpm_limit = serializers.IntegerField(allow_null=True, help_text="Tokens per minute; null: no limit.")
    max_parallel = serializers.IntegerField(allow_null=True, help_text="Requests at the same time; null: no limit.")
    budget = BudgetAnswer(allow_null=True, help_text="Null: no limit.")
    default_model = serializers.CharField(help_text="What is meant where a request names no model; may be empty.")
    resume = serializers.BooleanField(help_text="A stream that is cut goes on at another backend.")
    cache_seconds = serializers.IntegerField(help_text="How long equal requests get the same answer; 0: never.")
    tags = serializers.ListField(child=serializers.CharField())


class OwnKeyView(CallerView):
    """The key that the caller came with."""

    operations: ClassVar = {"get": Operation("key_read", "Read the caller's own key", answer=CallerAnswer, tags=TAGS)}

    def get(self, request: Request) -> Response:
        """What it is, may do, and has spent."""
        return Response(CallerAnswer(asdict(self.caller) | {"budget": _budget_state(self.caller)}).data)


def _budget_state(caller: Caller) -> BudgetState | None:
    if caller.budget is None:
        return None
    zone = time_zone(snapshot.current().settings.budget_time_zone)
    return budget_state(caller.budget, _spent_picousd(caller), now=utc_now(), time_zone=zone)


def _spent_picousd(caller: Caller) -> int | None:
    """What the key has spent in the period that runs; None where nobody knows it and the database is away."""
    serving = runtime.current()
    known = serving.limits.spent(caller, epoch=epoch_seconds()) if serving is not None else None
    if known is not None:
        return known
    zone = time_zone(snapshot.current().settings.budget_time_zone)
    try:
        return spent_picousd({b"": caller}, now=utc_now(), time_zone=zone).get(caller.id)
    except (DatabaseError, InterfaceError) as problem:
        logger.warning("spending_unknown", extra={"key": caller.id, "reason": str(problem).strip()})
        return None


class OwnUsageRow(serializers.Serializer[Any]):
    """One day of one model."""

    date = serializers.DateField(source="hour__date")
    model = serializers.CharField()
    request_count = serializers.IntegerField(source="requests")
    error_count = serializers.IntegerField(source="errors")
    prompt_tokens = serializers.IntegerField(source="prompt")
    completion_tokens = serializers.IntegerField(source="completion")
    cost = UsdSerializerField(allow_null=True, help_text="USD; null where no request had a price.")


class OwnUsageAnswer(serializers.Serializer[Any]):
    """A list as the others of /v1 are."""

    object = serializers.ChoiceField(choices=["list"])
    data = OwnUsageRow(many=True)  # type: ignore[assignment] # the name of the wire


class OwnUsageView(CallerView):
    """What the caller has used."""

    operations: ClassVar = {
        "get": Operation(
            "usage_read",
            "Read the caller's own usage by day and model, newest first",
            answer=OwnUsageAnswer,
            query=(Query("days", int, "How many days back, 30 unless told."),),
            tags=TAGS,
        )
    }

    def get(self, request: Request) -> Response:
        """The days asked for."""
        days = number_asked(request, "days", 30, at_least=1, at_most=LONGEST_DAYS)
        rows = usage_of_key(client_key_id=self.caller.id, now=utc_now(), days=days)
        return Response({"object": "list", "data": OwnUsageRow(rows, many=True).data})
