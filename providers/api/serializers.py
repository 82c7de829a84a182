"""The JSON of backends and mappings, in and out."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from rest_framework import serializers

from agenthub.core.crypto import masked
from agenthub.core.serializer_fields import JsonObjectField, UsdSerializerField
from agenthub.core.tls import (
    MOST_BUNDLE_CHARACTERS,
    MOST_CHAIN_CHARACTERS,
    ca_bundle_refusal,
    client_certificate_refusal,
    pem_tidy,
)
from providers.models import Backend, BackendHealth, CooldownEvent, ModelMapping, Pool
from providers.models.backend import LARGEST_RPM, LARGEST_TIMEOUT_SECONDS
from providers.rules.base_url import base_url_refusal
from providers.rules.headers import header_refusal
from providers.rules.outgoing_proxy import outgoing_proxy_refusal
from providers.rules.table import ApiKind, Probe, Service
from providers.selectors import (
    api_key_masked,
    client_certificate_shown,
    extra_headers_masked,
    outgoing_proxy_shown,
)
from providers.services.backends import BackendData, MappingData
from providers.services.keys import extra_headers_opened

LARGEST_INTEGER = 2**31 - 1
SERVICES = [service.value for service in Service]


class CostSerializer(serializers.Serializer[Any]):
    """Prices in USD per token; null where nobody has set one."""

    input = UsdSerializerField(required=False, allow_null=True)
    output = UsdSerializerField(required=False, allow_null=True)
    cacheRead = UsdSerializerField(required=False, allow_null=True)
    cacheWrite = UsdSerializerField(required=False, allow_null=True)


class MappingInput(serializers.Serializer[Any]):
    """One mapping of a request: what is not given stays as it is."""

    native_id = serializers.CharField(required=False, allow_blank=True, max_length=200)
    cost = CostSerializer(required=False)
    context_window = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_INTEGER)
    max_tokens = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_INTEGER)
    reasoning = serializers.BooleanField(required=False)
    reasoning_effort = serializers.CharField(required=False, allow_blank=True, max_length=16)
    input_modalities = serializers.ListField(
        required=False, child=serializers.CharField(max_length=32), max_length=16, allow_empty=True
    )
    first_token_timeout_seconds = serializers.FloatField(
        required=False, allow_null=True, min_value=0.05, max_value=3600
    )
    compat = JsonObjectField(required=False)


class MappingAnswer(serializers.ModelSerializer[ModelMapping]):
    """One mapping of an answer."""

    native_id = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()
    input_modalities = serializers.ListField(child=serializers.CharField(), source="modalities")
    compat = JsonObjectField()

    class Meta:
        model = ModelMapping
        fields = (
            "native_id",
            "cost",
            "context_window",
            "max_tokens",
            "reasoning",
            "reasoning_effort",
            "input_modalities",
            "first_token_timeout_seconds",
            "compat",
            "flagged_at",
            "flag_reason",
        )

    def get_native_id(self, mapping: ModelMapping) -> str:
        """The name at the backend."""
        return mapping.native_id or mapping.canonical

    def get_cost(self, mapping: ModelMapping) -> dict[str, str | None]:
        """The four prices."""
        prices: dict[str, Decimal | None] = {
            name: getattr(mapping, column) for name, column in ModelMapping.PRICES.items()
        }
        return dict(CostSerializer(prices).data)


class HealthAnswer(serializers.ModelSerializer[BackendHealth]):
    """What probes and traffic say."""

    class Meta:
        model = BackendHealth
        exclude = ("backend",)


class BackendAnswer(serializers.ModelSerializer[Backend]):
    """A backend as answers show it: its key is masked."""

    api_key = serializers.SerializerMethodField(help_text="Masked: the first 6 and last 4 characters.")
    extra_headers = serializers.SerializerMethodField(help_text="The values are masked.")
    outgoing_proxy = serializers.SerializerMethodField(help_text="Without user name and password; empty: none.")
    client_certificate = serializers.SerializerMethodField(help_text="Subject and expiry; empty: none.")
    services = serializers.ListField(child=serializers.ChoiceField(choices=SERVICES))
    pool: Any = serializers.SlugRelatedField(slug_field="name", read_only=True)
    metadata = JsonObjectField()
    health = HealthAnswer(allow_null=True, read_only=True)
    model_mappings = serializers.SerializerMethodField(help_text="By canonical model.")
    model_count = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField(help_text="What looked wrong when it was saved; it was saved anyway.")

    class Meta:
        model = Backend
        fields = (
            "id",
            "name",
            "label",
            "api_base_url",
            "api_key",
            "api",
            "pool",
            "enabled",
            "status",
            "error_kind",
            "error_reason",
            "error_since",
            "cooldown_until",
            "consecutive_429_count",
            "timeout_seconds",
            "rpm_limit",
            "burst",
            "tpm_limit",
            "max_concurrency",
            "weight",
            "probe",
            "source",
            "metadata",
            "extra_headers",
            "outgoing_proxy",
            "ca_bundle",
            "client_certificate",
            "services",
            "health",
            "model_mappings",
            "model_count",
            "created_at",
            "updated_at",
            "warnings",
        )

    def get_api_key(self, backend: Backend) -> str:
        """The key as people may see it."""
        return api_key_masked(backend)

    def get_extra_headers(self, backend: Backend) -> dict[str, str]:
        """The headers as people may see them."""
        return extra_headers_masked(backend)

    def get_outgoing_proxy(self, backend: Backend) -> str:
        """The proxy as people may see it."""
        return outgoing_proxy_shown(backend)

    def get_client_certificate(self, backend: Backend) -> str:
        """The certificate as people may see it."""
        return client_certificate_shown(backend)

    def get_model_mappings(self, backend: Backend) -> dict[str, Any]:
        """The mappings by canonical model."""
        return {mapping.canonical: MappingAnswer(mapping).data for mapping in backend.mappings.all()}

    def get_model_count(self, backend: Backend) -> int:
        """How many models it serves."""
        return len(backend.mappings.all())

    def get_warnings(self, _backend: Backend) -> list[str]:
        """Empty but in the answer to a write."""
        return list(self.context.get("warnings", ()))


class MappingsField(serializers.DictField):
    """Mappings by canonical model; a text alone is a native name."""

    child = MappingInput()

    def to_internal_value(self, data: Any) -> Any:
        """The checked mappings."""
        if isinstance(data, dict):
            data = {name: {"native_id": value} if isinstance(value, str) else value for name, value in data.items()}
        checked: dict[str, Any] = super().to_internal_value(data)
        for name in checked:
            if not name.strip() or len(name) > 200 or not name.isprintable():
                raise serializers.ValidationError(
                    {name[:50]: "A model name has 1 to 200 characters that can be printed."}
                )
        return checked


class BackendInput(serializers.Serializer[Backend]):
    """A backend in a request. What is not given stays as it is, or is the default of a new one."""

    name = serializers.CharField(max_length=128)
    label = serializers.CharField(required=False, allow_blank=True, max_length=128)  # type: ignore[assignment]
    api_base_url = serializers.CharField(max_length=500)
    api_key = serializers.CharField(
        max_length=4096,
        allow_null=True,
        allow_blank=True,
        write_only=True,
        help_text="Stored encrypted. Empty or masked: the old one stays. Null: the upstream wants none.",
    )
    api = serializers.ChoiceField(required=False, choices=[kind.value for kind in ApiKind])
    timeout_seconds = serializers.FloatField(required=False, min_value=1, max_value=LARGEST_TIMEOUT_SECONDS)
    rpm_limit = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_RPM, help_text="Null: unlimited."
    )
    burst = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=LARGEST_RPM)
    tpm_limit = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)
    max_concurrency = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=LARGEST_INTEGER)
    pool = serializers.SlugRelatedField(
        required=False,
        slug_field="name",
        queryset=Pool.objects.all(),
        error_messages={"does_not_exist": "There is no pool {value}; GET /api/admin/pools lists them."},
    )
    weight = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    enabled = serializers.BooleanField(required=False)
    probe = serializers.ChoiceField(
        required=False,
        choices=[probe.value for probe in Probe],
        help_text="How its health is probed; a completion is billed.",
    )
    metadata = JsonObjectField(required=False)
    extra_headers = serializers.DictField(
        required=False,
        child=serializers.CharField(allow_blank=True, max_length=4096),
        help_text="Sent with every request to the upstream; stored encrypted. A masked value keeps the old one.",
    )
    outgoing_proxy = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        write_only=True,
        max_length=2000,
        help_text="http:// or https:// URL, perhaps with user name and password; stored encrypted. "
        "Empty or as shown: the old one stays. Null: none.",
    )
    ca_bundle = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MOST_BUNDLE_CHARACTERS,
        help_text="PEM certificates to trust instead of the system's; empty: the system's.",
    )
    client_certificate = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        write_only=True,
        max_length=MOST_CHAIN_CHARACTERS,
        help_text="PEM of a certificate chain and its private key without a password; stored encrypted. "
        "Empty or as shown: the old one stays. Null: none.",
    )
    services = serializers.ListField(
        required=False,
        allow_empty=True,
        child=serializers.ChoiceField(choices=SERVICES),
        help_text="What it may be asked for without naming a model.",
    )
    model_mappings = MappingsField(required=False, help_text="By canonical model. Given: these models and no others.")

    def validate_api_base_url(self, value: str) -> str:
        """The URL without trailing slashes; refused where it can be no base URL."""
        problem = base_url_refusal(value, allow_private=settings.ENVIRONMENT.allow_private_upstreams)
        if problem:
            raise serializers.ValidationError(problem)
        return value.rstrip("/")

    def validate_api_key(self, value: str | None) -> str | None:
        """A key that can stand in a header."""
        if value and not (value.isascii() and value.isprintable()):
            raise serializers.ValidationError("The key holds characters that can't be sent in a header.")
        if value == "" and self.instance is None:
            raise serializers.ValidationError("Give the upstream's API key, or null where it wants none.")
        return value

    def validate_extra_headers(self, value: dict[str, str]) -> dict[str, str]:
        """Headers that can be sent, and that the hub does not set itself."""
        for name, text in value.items():
            problem = header_refusal(name, text)
            if problem:
                raise serializers.ValidationError({name: problem})
        old = extra_headers_opened(self.instance) if self.instance is not None else {}
        kept = {name: old[name] for name, text in value.items() if name in old and text == masked(old[name])}
        return value | kept

    def validate_outgoing_proxy(self, value: str | None) -> str | None:
        """A URL of a proxy that the hub can speak to."""
        if not value or (self.instance is not None and value == outgoing_proxy_shown(self.instance)):
            return value
        problem = outgoing_proxy_refusal(value, allow_private=settings.ENVIRONMENT.allow_private_upstreams)
        if problem:
            raise serializers.ValidationError(problem)
        return value

    def validate_ca_bundle(self, value: str) -> str:
        """Certificates that can be loaded."""
        problem = ca_bundle_refusal(pem_tidy(value)) if value else None
        if problem:
            raise serializers.ValidationError(problem)
        return pem_tidy(value)

    def validate_client_certificate(self, value: str | None) -> str | None:
        """A certificate and its key that can be loaded."""
        if not value or (self.instance is not None and value == client_certificate_shown(self.instance)):
            return value
        problem = client_certificate_refusal(pem_tidy(value))
        if problem:
            raise serializers.ValidationError(problem)
        return pem_tidy(value)

    def validate_services(self, value: list[str]) -> list[str]:
        """Each once, in one order."""
        return [service for service in SERVICES if service in value]

    def backend_data(self) -> BackendData:
        """What the services take."""
        given = dict(self.validated_data)
        mappings, headers = given.pop("model_mappings", None), given.pop("extra_headers", None)
        return BackendData(
            api_key=self._secret(given, "api_key", api_key_masked),
            outgoing_proxy=self._secret(given, "outgoing_proxy", outgoing_proxy_shown),
            client_certificate=self._secret(given, "client_certificate", client_certificate_shown),
            values=given,
            extra_headers=headers,
            mappings=None if mappings is None else tuple(_mapping_data(*item) for item in mappings.items()),
        )

    def _secret(self, given: dict[str, Any], field: str, shown: Callable[[Backend], str]) -> str | None:
        """A secret that is given; "" takes it away, None leaves it: it came back as it is shown, or not at all."""
        if field not in given:
            return None
        secret: str | None = given.pop(field)
        if secret is None:
            return ""
        if self.instance is not None and secret in ("", shown(self.instance)):
            return None
        return secret


def _mapping_data(canonical: str, given: dict[str, Any]) -> MappingData:
    values = dict(given)
    for name, price in values.pop("cost", {}).items():
        values[ModelMapping.PRICES[name]] = price
    return MappingData(canonical=canonical, values=values)


class CooldownAnswer(serializers.ModelSerializer[CooldownEvent]):
    """One cooldown of the log."""

    class Meta:
        model = CooldownEvent
        fields = (
            "id",
            "backend_id",
            "backend_name",
            "consecutive_count",
            "cooldown_seconds",
            "reason",
            "response_summary",
            "started_at",
            "until",
            "ended_at",
        )
