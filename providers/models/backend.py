"""Backends, what they serve, and how they are."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agenthub.core.fields import ShortIdField, UsdField
from providers.models.pool import Pool
from providers.rules.table import ApiKind, BackendStatus, ErrorKind, HealthState, Probe

LARGEST_RPM = 100_000
LARGEST_TIMEOUT_SECONDS = 3600


TEXT_ONLY = ["text"]


class Backend(models.Model):
    """One upstream endpoint: base URL, API key, limits and the models that it serves.

    Secrets are sealed in the `_sealed` columns, bound to the id; `providers/services/keys.py` opens them. What
    AgentHub finds out by itself (status, error, cooldown) is written by services with `update()`, never by `save()`,
    so that a form saved meanwhile does not bring old findings back and the audit trail shows people's changes only.
    """

    class Source(models.TextChoices):
        """Where a backend came from."""

        WEBUI = "webui", "admin"
        ENV = "env", "environment"
        IMPORT = "import", "import"
        API = "api", "API"

    FINDINGS: ClassVar[tuple[str, ...]] = (
        "status",
        "error_kind",
        "error_reason",
        "error_since",
        "cooldown_until",
        "consecutive_429_count",
        "reset_count",
    )
    """The columns that AgentHub sets itself."""

    id = ShortIdField("bkd")
    name = models.CharField(max_length=128, help_text="A name that no other backend has.")
    label = models.CharField(
        max_length=128, blank=True, default="", help_text="A tag to group and filter by, e.g. the account."
    )
    api_base_url = models.CharField(
        max_length=500,
        verbose_name="API base URL",
        help_text="What the OpenAI SDK calls base_url, version included, e.g. https://host/v1.",
    )
    api_key_sealed = models.TextField(blank=True, default="", editable=False, verbose_name="API key")
    extra_headers_sealed = models.TextField(blank=True, default="", editable=False, verbose_name="extra headers")
    outgoing_proxy_sealed = models.TextField(blank=True, default="", editable=False, verbose_name="outgoing proxy")
    ca_bundle = models.TextField(
        blank=True,
        default="",
        verbose_name="CA bundle",
        help_text="PEM certificates to trust instead of the system's, e.g. of a private CA; empty for the system's.",
    )
    client_certificate_sealed = models.TextField(
        blank=True, default="", editable=False, verbose_name="client certificate"
    )
    services = models.JSONField(default=list, blank=True, help_text="What it may be asked for without naming a model.")
    api = models.CharField(
        max_length=24,
        choices=[(kind.value, kind.value) for kind in ApiKind],
        default=ApiKind.OPENAI_COMPLETIONS.value,
        verbose_name="API",
        help_text="The wire format that the upstream speaks.",
    )
    timeout_seconds = models.FloatField(
        default=120,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_TIMEOUT_SECONDS)],
        help_text="Longest time for an answer that is not streamed, 1 to 3600 seconds.",
    )
    rpm_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=40,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_RPM)],
        verbose_name="requests per minute",
        help_text="1 to 100000; empty for no limit.",
    )
    burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_RPM)],
        help_text="Requests that may go out at once after a quiet time; empty for the requests per minute.",
    )
    tpm_limit = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        verbose_name="tokens per minute",
        help_text="Empty for no limit.",
    )
    max_concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Requests that may run at the same time; empty for no limit.",
    )
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="backends")
    weight = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Its share in a weighted pool.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: no request is sent to it.")
    probe = models.CharField(
        max_length=16,
        choices=[(probe.value, probe.value) for probe in Probe],
        default=Probe.MODELS.value,
        help_text="How its health is probed: by its list of models, not at all, or by a completion, which is billed.",
    )
    status = models.CharField(
        max_length=16,
        choices=[(status.value, status.value) for status in BackendStatus],
        default=BackendStatus.HEALTHY.value,
        editable=False,
    )
    error_kind = models.CharField(
        max_length=16,
        blank=True,
        choices=[(kind.value, kind.value or "none") for kind in ErrorKind],
        default=ErrorKind.NONE.value,
        editable=False,
    )
    error_reason = models.CharField(max_length=300, blank=True, default="", editable=False)
    error_since = models.DateTimeField(null=True, blank=True, editable=False)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEBUI, editable=False)
    cooldown_until = models.DateTimeField(null=True, blank=True, editable=False)
    consecutive_429_count = models.PositiveIntegerField(default=0, editable=False)
    reset_count = models.PositiveIntegerField(default=0, editable=False)
    metadata = models.JSONField(
        default=dict, blank=True, help_text="A JSON object for your own notes; not sent anywhere."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            # Backends of the environment and of imports are found again by name.
            models.UniqueConstraint(fields=["name"], name="backend_name_unique"),
            # A limit of zero would pass a backend over for ever without a word; it is switched off by `enabled`.
            models.CheckConstraint(
                condition=models.Q(rpm_limit__isnull=True) | models.Q(rpm_limit__range=(1, LARGEST_RPM)),
                name="backend_rpm_limit_range",
            ),
            models.CheckConstraint(
                condition=models.Q(timeout_seconds__range=(1, LARGEST_TIMEOUT_SECONDS)),
                name="backend_timeout_seconds_range",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=[status.value for status in BackendStatus]), name="backend_status_known"
            ),
        ]
        indexes = [
            # The expiry of cooldowns asks each second for the backends whose time has passed.
            models.Index(
                fields=["cooldown_until"], condition=models.Q(status="cooling"), name="backend_cooling_until_idx"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def bucket_capacity(self) -> int:
        """The capacity of the request bucket: `burst`, else a minute's worth of requests."""
        return self.burst if self.burst is not None else max(self.rpm_limit or 1, 1)

    def status_at(self, now: datetime) -> BackendStatus:
        """What the status must be, from what stands in the other columns: disabled before error before cooling."""
        if not self.enabled:
            return BackendStatus.DISABLED
        if self.error_kind:
            return BackendStatus.ERROR
        if self.cooldown_until is not None and self.cooldown_until > now:
            return BackendStatus.COOLING
        return BackendStatus.HEALTHY


class ModelMapping(models.Model):
    """A canonical model at one backend: its name there, its prices and what it can do."""

    backend = models.ForeignKey(Backend, on_delete=models.CASCADE, related_name="mappings")
    canonical = models.CharField(max_length=200, help_text="The model name that clients use.")
    native_id = models.CharField(
        max_length=200, blank=True, default="", help_text="The name at this backend; empty for the same name."
    )
    reasoning = models.BooleanField(default=False, help_text="The model thinks before it answers.")
    reasoning_effort = models.CharField(
        max_length=16, blank=True, default="", help_text="The effort that the model is known to run with; a note."
    )
    input_modalities = models.JSONField(
        default=list, blank=True, help_text='What the model takes, e.g. ["text", "image"]; an empty list means text.'
    )
    price_input_usd = UsdField(null=True, blank=True, verbose_name="input price", help_text="USD per token.")
    price_output_usd = UsdField(null=True, blank=True, verbose_name="output price", help_text="USD per token.")
    price_cache_read_usd = UsdField(null=True, blank=True, verbose_name="cache read price", help_text="USD per token.")
    price_cache_write_usd = UsdField(
        null=True, blank=True, verbose_name="cache write price", help_text="USD per token."
    )
    context_window = models.PositiveIntegerField(
        default=128_000, validators=[MinValueValidator(1)], help_text="Tokens that prompt and answer may have together."
    )
    max_tokens = models.PositiveIntegerField(
        default=65_536, validators=[MinValueValidator(1)], help_text="Tokens that an answer may have."
    )
    first_token_timeout_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.05), MaxValueValidator(3600)],
        help_text="Longest silence of a stream before its first content; empty for the hub's setting.",
    )
    compat = models.JSONField(default=dict, blank=True, help_text="A JSON object of oddities of this model.")
    flagged_at = models.DateTimeField(null=True, blank=True, editable=False)
    flag_reason = models.CharField(max_length=300, blank=True, default="", editable=False)

    PRICES: ClassVar[dict[str, str]] = {
        "input": "price_input_usd",
        "output": "price_output_usd",
        "cacheRead": "price_cache_read_usd",
        "cacheWrite": "price_cache_write_usd",
    }
    """The names of the prices in the API, and their columns."""

    class Meta:
        ordering = ("canonical",)
        constraints = [
            # A request finds at most one native name of its model at a backend.
            models.UniqueConstraint(fields=["backend", "canonical"], name="mapping_canonical_unique"),
            # A negative price would earn money with every token.
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(price_input_usd__isnull=True) | models.Q(price_input_usd__gte=Decimal(0)),
                    models.Q(price_output_usd__isnull=True) | models.Q(price_output_usd__gte=Decimal(0)),
                    models.Q(price_cache_read_usd__isnull=True) | models.Q(price_cache_read_usd__gte=Decimal(0)),
                    models.Q(price_cache_write_usd__isnull=True) | models.Q(price_cache_write_usd__gte=Decimal(0)),
                ),
                name="mapping_prices_not_negative",
            ),
        ]
        indexes = [
            # The list of models, and who serves one, ask by canonical name.
            models.Index(fields=["canonical"], name="mapping_canonical_idx"),
        ]

    def __str__(self) -> str:
        return self.canonical

    @property
    def modalities(self) -> list[str]:
        """What the model takes; text where nobody said more."""
        return list(self.input_modalities) or list(TEXT_ONLY)


class BackendHealth(models.Model):
    """What probes and live traffic say of a backend; a missing row means that nothing is known."""

    backend = models.OneToOneField(Backend, on_delete=models.CASCADE, primary_key=True, related_name="health")
    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value) for state in HealthState],
        default=HealthState.UNKNOWN.value,
    )
    last_latency_ms = models.FloatField(null=True, blank=True)
    last_status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    success_rate_5m = models.FloatField(null=True, blank=True)
    tries_5m = models.PositiveIntegerField(default=0, help_text="The attempts that the success rate is of.")
    consecutive_failures = models.PositiveIntegerField(default=0)
    last_check_at = models.DateTimeField(null=True, blank=True, help_text="When a probe was last sent.")
    live_at = models.DateTimeField(null=True, blank=True, help_text="When a request last said something of it.")

    class Meta:
        verbose_name = "backend health"
        verbose_name_plural = "backend health"

    def __str__(self) -> str:
        return f"{self.backend_id}: {self.state}"
