"""How the description of the API is made: out of what each view says of itself (`core/api.py: Operation`).

Imported only when the description is asked for, so that web processes do not carry its machinery.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from agenthub.core.api import Operation
from agenthub.overview.raw_operations import RAW_PATHS, RAW_SCHEMAS

_KINDS: dict[type, type] = {str: str, int: int, bool: bool}


class ErrorDetail(serializers.Serializer[Any]):
    """What went wrong."""

    message = serializers.CharField(help_text="What happened, to what, and what to do.")
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True, help_text="The field that is wrong, as a path.")
    code = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), required=False, help_text="Every wrong field with its message."
    )
    request_id = serializers.CharField(required=False)


class ErrorAnswer(serializers.Serializer[Any]):
    """The one shape of errors."""

    error = ErrorDetail()


_ERRORS = {
    400: "The request is wrong; param names the field.",
    401: "No, or no valid, credentials.",
    403: "The role or key does not allow this.",
    404: "There is no such thing.",
    429: "Too many tries; Retry-After says when to go on.",
    409: "What stands already does not allow it.",
}


class HouseSchema(AutoSchema):
    """Describes a view by its `operations`."""

    @property
    def said(self) -> Operation | None:
        """What the view says of this method."""
        found: Operation | None = getattr(self.view, "operations", {}).get(self.method.lower())
        return found

    def get_operation_id(self) -> str:
        """The name by which generated clients call it."""
        return self.said.id if self.said else str(super().get_operation_id())

    def get_summary(self) -> str | None:
        """One line."""
        return self.said.summary if self.said else None

    def get_tags(self) -> list[str]:
        """The part of the hub."""
        return list(self.said.tags) if self.said else list(super().get_tags())

    def get_request_serializer(self) -> Any:
        """The body."""
        if self.said is None or self.said.body is None:
            return None
        body: Any = self.said.body(many=True) if self.said.body_many else self.said.body
        return {"application/json": body} | dict.fromkeys(self.said.texts, str) if self.said.texts else body

    def get_override_parameters(self) -> list[Any]:
        """The query, and the headers of lists."""
        if self.said is None:
            return []
        query = [
            OpenApiParameter(each.name, _KINDS[each.kind], OpenApiParameter.QUERY, description=each.help)
            for each in self.said.query
        ]
        return [*query, *_PAGING] if self.said.many and self.said.paged else query

    def get_response_serializers(self) -> Any:
        """The answer and the errors."""
        if self.said is None:
            return None
        answer: Any = self.said.answer(many=True) if self.said.many else self.said.answer
        if self.said.keyed:
            one = self.resolve_serializer(self.said.answer, "response").ref
            answer = {"type": "object", "additionalProperties": one}
        expected = {400, 401, 403, *self.said.errors}
        errors = {status: OpenApiResponse(ErrorAnswer, description=_ERRORS[status]) for status in sorted(expected)}
        texts: dict[Any, Any] = {}
        if self.said.texts and self.said.body is None:
            texts[self.said.status, *self.said.texts] = str
        return {self.said.status: answer, **texts, **errors}

    def _is_list_view(self, serializer: Any = None) -> bool:
        # Arrays are said to be arrays; nothing is guessed from names, and nothing is wrapped in pages.
        return isinstance(serializer, serializers.ListSerializer)


_PAGING = (
    OpenApiParameter("limit", int, OpenApiParameter.QUERY, description="At most so many."),
    OpenApiParameter("offset", int, OpenApiParameter.QUERY, description="From the so-manieth on."),
    OpenApiParameter("page", int, OpenApiParameter.QUERY, description="The so-manieth part, in place of offset."),
    OpenApiParameter(
        "X-Total-Count", int, OpenApiParameter.HEADER, response=[200], description="How many there are in all."
    ),
    OpenApiParameter(
        "Link", str, OpenApiParameter.HEADER, response=[200], description="The parts before and after, if there are."
    ),
)


class AdminTokenScheme(OpenApiAuthenticationExtension):
    """The management API's token."""

    target_class = "agenthub.core.api_access.AdminTokenAuthentication"
    name = "adminToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "AGENTHUB_ADMIN_TOKEN"}


class StaffSessionScheme(OpenApiAuthenticationExtension):
    """A signed-in person."""

    target_class = "agenthub.core.api_access.StaffSessionAuthentication"
    name = "staffSession"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """The cookie of the admin; changes also need X-CSRFToken."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class ClientKeyScheme(OpenApiAuthenticationExtension):
    """A caller of /v1."""

    target_class = "proxy.api.reads.ClientKeyAuthentication"
    name = "clientKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "A client key, ah-…"}


class AgentTokenScheme(OpenApiAuthenticationExtension):
    """An agent."""

    target_class = "storagecustodian.api.access.AgentTokenAuthentication"
    name = "agentToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "An agent token, aht_…"}


class PersonTokenScheme(OpenApiAuthenticationExtension):
    """A person who has signed in."""

    target_class = "agenthub.hub.api.callers.PersonTokenAuthentication"
    name = "personToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "A token of POST /api/auth/login, ahu_…"}


class OwnTokenScheme(OpenApiAuthenticationExtension):
    """An agent that reports, among others who call the same."""

    target_class = "agenthub.hub.api.callers.OwnTokenAuthentication"
    name = "ownAgentToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "An agent token, aht_…"}


class StateScheme(OpenApiSerializerFieldExtension):
    """States of agents."""

    target_class = "storagecustodian.api.serializers.StateField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Any object."""
        return {"type": "object", "additionalProperties": {}}


class UsdScheme(OpenApiSerializerFieldExtension):
    """Amounts of money."""

    target_class = "agenthub.core.serializer_fields.UsdSerializerField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """A decimal string out; a number is taken too."""
        text = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
        return text if direction == "response" else {"oneOf": [text, {"type": "number", "minimum": 0}]}


class JsonObjectScheme(OpenApiSerializerFieldExtension):
    """JSON objects."""

    target_class = "agenthub.core.serializer_fields.JsonObjectField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Any object."""
        return {"type": "object", "additionalProperties": {}}


class SettingValueScheme(OpenApiSerializerFieldExtension):
    """Values of settings."""

    target_class = "agenthub.core.config_api.SettingValueField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Of the setting's own type."""
        return {"anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "string"}]}


class MappingsScheme(OpenApiSerializerFieldExtension):
    """Mappings by canonical model."""

    target_class = "providers.api.serializers.MappingsField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """A mapping, or its native name alone."""
        mapping = auto_schema.resolve_serializer(self.target.child, direction)
        return {"type": "object", "additionalProperties": {"oneOf": [mapping.ref, {"type": "string"}]}}


def with_raw_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what Django REST framework does not answer, described by hand."""
    result["components"].setdefault("schemas", {}).update(RAW_SCHEMAS)
    for path, operations in RAW_PATHS.items():
        result["paths"].setdefault(path, {}).update(operations)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result
