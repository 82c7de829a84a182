"""The management API of run-time settings."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, json_object, page_asked
from agenthub.core.errors import BadRequest
from agenthub.core.models import SystemConfig
from agenthub.core.settings_store import setting_set, setting_state, setting_states, setting_unset


class SettingValueField(serializers.Field[Any, Any, Any, Any]):
    """A value of the setting's own type: a boolean, a number or a text."""

    def to_representation(self, value: Any) -> Any:
        """The value as it is."""
        return value

    def to_internal_value(self, data: Any) -> Any:
        """The value as it came; the setting's own rule checks it."""
        return data


class SettingAnswer(serializers.Serializer[Any]):
    """One setting with all that a form says about it."""

    key = serializers.CharField()
    value = SettingValueField()
    default = SettingValueField()
    type = serializers.ChoiceField(source="kind", choices=["bool", "int", "float", "str"])
    help = serializers.CharField()
    at_least = serializers.FloatField(allow_null=True)
    at_most = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    set_by = serializers.ChoiceField(source="source", choices=["environment", "database", "default"])
    locked_by = serializers.CharField(allow_null=True, help_text="The environment variable that holds it fixed.")
    description = serializers.CharField()
    updated_at = serializers.DateTimeField(allow_null=True)


class SettingInput(serializers.Serializer[Any]):
    """A new value for a setting."""

    value = SettingValueField()
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class ConfigView(ManagementView):
    """All settings."""

    permission_model = SystemConfig
    operations: ClassVar = {"get": Operation("config_list", "List the settings", answer=SettingAnswer, many=True)}

    def get(self, request: Request) -> Response:
        """Every setting, also those that nobody has set."""
        page = page_asked(request, setting_states())
        return Response(SettingAnswer(page.rows, many=True).data, headers=page.headers)


class SettingView(ManagementView):
    """One setting."""

    permission_model = SystemConfig
    operations: ClassVar = {
        "get": Operation("config_read", "Read a setting", answer=SettingAnswer, errors=(404,)),
        "put": Operation("config_set", "Set a setting", answer=SettingAnswer, body=SettingInput, errors=(404, 409)),
        "delete": Operation("config_unset", "Back to the default", answer=SettingAnswer, errors=(404, 409)),
    }

    def get(self, _request: Request, key: str) -> Response:
        """Read it."""
        return Response(SettingAnswer(setting_state(key)).data)

    def put(self, request: Request, key: str) -> Response:
        """Set it in every process."""
        given = SettingInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        value = given.validated_data["value"]
        if isinstance(value, dict | list):
            raise BadRequest(f"{key} takes a boolean, a number or a text.", param="value")
        state = setting_set(key=key, value=value, description=given.validated_data.get("description"))
        return Response(SettingAnswer(state).data)

    def delete(self, _request: Request, key: str) -> Response:
        """Back to the default; the answer shows it."""
        return Response(SettingAnswer(setting_unset(key=key)).data)
