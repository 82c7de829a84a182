"""The management API of components."""

from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.api_access import administers
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.core.serializer_fields import JsonObjectField
from heartbeat.definitions import check_refusal
from heartbeat.models import Component
from heartbeat.models.component import LONGEST_INTERVAL_SECONDS, LONGEST_TIMEOUT_SECONDS
from heartbeat.rules.components import ALIASES, LONGEST_NAME, CheckKind, name_refusal
from heartbeat.rules.lateness import LONGEST_TEXT, ComponentStatus
from heartbeat.selectors import component_named, components
from heartbeat.services.components import (
    component_beat,
    component_check_now,
    component_delete,
    component_pause,
    component_register,
    component_report,
    component_resume,
    component_update,
)

STATUSES = [status.value for status in ComponentStatus]
CHECKS = [kind.value for kind in CheckKind]


class ErrorOfComponent(serializers.Serializer[Any]):
    """One error of a component: its first sign in an outage."""

    at = serializers.CharField()
    text = serializers.CharField()


class ComponentAnswer(serializers.ModelSerializer[Component]):
    """A component as it is at this moment."""

    status = serializers.ChoiceField(choices=STATUSES)
    check = serializers.ChoiceField(choices=CHECKS, source="check_kind")
    parameters = JsonObjectField()
    errors = ErrorOfComponent(many=True, help_text="The last ten, oldest first.")  # type: ignore[assignment]

    class Meta:
        model = Component
        fields = (
            "name",
            "kind",
            "node",
            "built_in",
            "status",
            "level",
            "note",
            "last_seen",
            "sequence",
            "transitions",
            "errors",
            "interval_seconds",
            "stale_factor",
            "check",
            "parameters",
            "timeout_seconds",
            "created_at",
        )


class ComponentInput(serializers.Serializer[Component]):
    """A component in a request. What is not given stays as it is, or is the default of a new one."""

    name = serializers.CharField(max_length=LONGEST_NAME)
    node = serializers.CharField(required=False, allow_blank=True, max_length=128)
    interval_seconds = serializers.FloatField(required=False, min_value=1, max_value=LONGEST_INTERVAL_SECONDS)
    stale_factor = serializers.FloatField(required=False, min_value=1, max_value=100)
    check = serializers.ChoiceField(required=False, choices=CHECKS, source="check_kind")
    parameters = JsonObjectField(required=False)
    timeout_seconds = serializers.FloatField(required=False, min_value=0.1, max_value=LONGEST_TIMEOUT_SECONDS)
    paused = serializers.BooleanField(required=False)

    def validate_name(self, value: str) -> str:
        """A name that fits an address and is nobody's already; it stays."""
        if self.instance is not None:
            if value != self.instance.name:
                raise serializers.ValidationError("The name of a component stays as it is.")
            return value
        refusal = name_refusal(value)
        if refusal:
            raise serializers.ValidationError(refusal)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check and parameters must fit each other, and the role of who asks."""
        if "check_kind" in attrs or "parameters" in attrs:
            kind = attrs.get("check_kind", self.instance.check_kind if self.instance else CheckKind.NONE)
            parameters = attrs.get("parameters", self.instance.parameters if self.instance else {})
            administrator: bool = self.context["administrator"]
            refusal = check_refusal(CheckKind(kind), parameters, administrator=administrator)
            if refusal:
                raise serializers.ValidationError({"parameters": refusal})
        return attrs


class BeatInput(serializers.Serializer[Any]):
    """What a beat may say."""

    sequence = serializers.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, help_text="Grows with each beat; others are left out."
    )
    status = serializers.ChoiceField(required=False, choices=["ok", "error"])
    text = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)


class ComponentsView(ManagementView):
    """All components."""

    permission_model = Component
    operations: ClassVar = {
        "get": Operation(
            "components_list",
            "List components by name",
            answer=ComponentAnswer,
            many=True,
            query=(
                Query("kind", help="Only those of one kind, or of the part of AgentHub that has this other name."),
                Query("status", help="Only those that are so."),
            ),
        ),
        "post": Operation(
            "components_create",
            "Register a component that beats by itself, or a check",
            answer=ComponentAnswer,
            body=ComponentInput,
            status=201,
            errors=(409,),
        ),
    }

    def get(self, request: Request) -> Response:
        """They, as they are at this moment."""
        kind, status = text_asked(request, "kind"), text_asked(request, "status")
        if status and status not in STATUSES:
            raise BadRequest(f"status must be one of {', '.join(STATUSES)}.", param="status")
        rows = [each for each in components(kind=kind) if not status or each.status == status]
        page = page_asked(request, rows)
        return Response(ComponentAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Add one."""
        values = _checked(request, None)
        name, paused = values.pop("name"), values.pop("paused", False)
        try:
            with transaction.atomic():
                component = component_register(name=name, values=values)
        except IntegrityError:
            raise _taken(name) from None
        if paused:
            component_pause(component_id=component.pk)
        return Response(ComponentAnswer(_component(name)).data, status=201)


class ComponentView(ManagementView):
    """One component, by its name, or by the other name of a part of AgentHub."""

    permission_model = Component
    operations: ClassVar = {
        "get": Operation("components_get", "Show a component", answer=ComponentAnswer, errors=(404,)),
        "patch": Operation(
            "components_update",
            "Change, pause or resume a component",
            answer=ComponentAnswer,
            body=ComponentInput,
            errors=(404,),
        ),
        "delete": Operation("components_delete", "Take a component away", answer=ComponentAnswer, errors=(404, 409)),
    }

    def get(self, request: Request, name: str) -> Response:
        """It."""
        return Response(ComponentAnswer(_component(name)).data)

    def patch(self, request: Request, name: str) -> Response:
        """Change what is given."""
        component = _component(name)
        values = _checked(request, component)
        values.pop("name", None)
        paused = values.pop("paused", None)
        if values:
            component_update(component_id=component.pk, values=values)
        if paused is not None:
            (component_pause if paused else component_resume)(component_id=component.pk)
        return Response(ComponentAnswer(_component(component.name)).data)

    def delete(self, request: Request, name: str) -> Response:
        """Take it away; a process that lives comes back with its next beat."""
        component = _component(name)
        component_delete(component_id=component.pk)
        return Response(ComponentAnswer(component).data)


class ComponentBeatView(ManagementView):
    """A sign of life."""

    permission_model = Component
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "components_beat",
            "Say that a component lives, or what is wrong with it",
            answer=ComponentAnswer,
            body=BeatInput,
            errors=(404,),
        ),
    }

    def post(self, request: Request, name: str) -> Response:
        """Count it. A part of AgentHub beats by itself: a beat under its other name is answered and not counted."""
        json_object(request)
        given = BeatInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        if name not in ALIASES:
            if said.get("status") == "error":
                component_report(name=name, ok=False, text=said.get("text") or "It reported an error.")
            else:
                component_beat(name=name, sequence=said.get("sequence"), note=said.get("text", ""))
        return Response(ComponentAnswer(_component(name)).data)


class ComponentCheckView(ManagementView):
    """A check at once."""

    permission_model = Component
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "components_check",
            "Have a worker run the check of a component now",
            answer=ComponentAnswer,
            errors=(404, 409),
        ),
    }

    def post(self, request: Request, name: str) -> Response:
        """Have the next pass run it, some seconds from now."""
        component = _component(name)
        if not component_check_now(component_id=component.pk):
            raise Conflict(f"{component.name} has no check, or is paused.", param="name")
        return Response(ComponentAnswer(_component(component.name)).data)


def _checked(request: Request, component: Component | None) -> dict[str, Any]:
    json_object(request)
    given = ComponentInput(
        component, data=request.data, partial=component is not None, context={"administrator": administers(request)}
    )
    given.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(given.validated_data)
    if component is None and Component.objects.filter(name=values["name"]).exists():
        raise _taken(values["name"])
    return values


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a component {name} already.", param="name")


def _component(name: str) -> Component:
    component = component_named(name) if "\0" not in name else None
    if component is None:
        raise NotFound(f"There is no component {name[:40]}; GET /api/admin/components lists them.", param="name")
    return component
