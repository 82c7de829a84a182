"""Client keys."""

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agenthub.core.fields import ShortIdField, UsdField
from proxy.rules.caller import Period
from proxy.rules.tags import tags_refusal

LARGEST_LIMIT = 2**31 - 1
LARGEST_TPM = 10**12
LARGEST_CACHE_SECONDS = 30 * 86_400


class ClientKey(models.Model):
    """A key that AgentHub issues to a caller of /v1. The key itself is shown once; its keyed hash is stored.

    While a key is rotated, the row has two digests: that of the key, and that of the one before, which opens the door
    until `previous_until`.
    """

    id = ShortIdField("key")
    name = models.CharField(max_length=128, help_text="Who or what uses this key.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="client_keys",
        help_text="The person who answers for it.",
    )
    team = models.CharField(max_length=64, blank=True, default="", help_text="The team that it belongs to.")
    tags = models.JSONField(
        default=list,
        blank=True,
        help_text='Words to find and group keys by, e.g. ["ci", "nightly"].',
    )
    agent_id = models.CharField(max_length=64, blank=True, default="", help_text="The agent that uses it, if one does.")
    prefix = models.CharField(max_length=8, editable=False, help_text="The first characters, to recognise the key by.")
    digest = models.CharField(max_length=64, editable=False)
    previous_prefix = models.CharField(max_length=8, blank=True, default="", editable=False)
    previous_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    previous_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until then the key before the last rotation works too."
    )
    enabled = models.BooleanField(default=True, help_text="Off: the key opens nothing, within a second.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on the key opens nothing.")
    allowed_models = models.JSONField(
        default=list,
        blank=True,
        help_text='Patterns of the models that it may use, e.g. ["gpt-4*", "team/*"]; an empty list means all models.',
    )
    rpm_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_LIMIT)],
        verbose_name="requests per minute",
        help_text="Empty for no limit.",
    )
    tpm_limit = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_TPM)],
        verbose_name="tokens per minute",
        help_text="Prompts and answers together; empty for no limit.",
    )
    max_parallel = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LARGEST_LIMIT)],
        verbose_name="parallel requests",
        help_text="Requests that may run at the same time; empty for no limit.",
    )
    budget_usd = UsdField(
        null=True,
        blank=True,
        verbose_name="budget",
        help_text="USD that it may spend in each period; empty for no limit.",
    )
    budget_period = models.CharField(
        max_length=8,
        choices=[(period.value, period.value) for period in Period],
        default=Period.MONTH.value,
        help_text="How often the budget begins anew; weeks begin on Monday, total never does.",
    )
    default_model = models.CharField(
        max_length=200, blank=True, default="", help_text="What is meant where a request names no model."
    )
    resume = models.BooleanField(default=False, help_text="A stream that is cut goes on at another backend.")
    cache_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(LARGEST_CACHE_SECONDS)],
        help_text="How long equal requests of this key get the same answer, up to 30 days; 0 for never.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        constraints = [
            # A key leads to one caller, also while it is rotated.
            models.UniqueConstraint(fields=["digest"], name="client_key_digest_unique"),
            models.UniqueConstraint(
                fields=["previous_digest"],
                condition=~models.Q(previous_digest=""),
                name="client_key_previous_digest_unique",
            ),
            # An old key without an end would work for ever.
            models.CheckConstraint(
                condition=models.Q(previous_digest="", previous_until__isnull=True)
                | (~models.Q(previous_digest="") & models.Q(previous_until__isnull=False)),
                name="client_key_previous_ends",
            ),
            # A limit of zero would refuse every request; a key is switched off by `enabled`.
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(rpm_limit__isnull=True) | models.Q(rpm_limit__gte=1),
                    models.Q(tpm_limit__isnull=True) | models.Q(tpm_limit__gte=1),
                    models.Q(max_parallel__isnull=True) | models.Q(max_parallel__gte=1),
                    models.Q(budget_usd__isnull=True) | models.Q(budget_usd__gt=Decimal(0)),
                ),
                name="client_key_limits_positive",
            ),
            # The sums of a budget begin with its period.
            models.CheckConstraint(
                condition=models.Q(budget_period__in=[period.value for period in Period]),
                name="client_key_budget_period_known",
            ),
            # Answers that are kept for longer would outlive the models that gave them.
            models.CheckConstraint(
                condition=models.Q(cache_seconds__range=(0, LARGEST_CACHE_SECONDS)),
                name="client_key_cache_seconds_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def clean(self) -> None:
        """Refuse a budget of nothing and tags that are none, by the names of their fields."""
        problems = {"tags": tags_refusal(self.tags)}
        if self.budget_usd is not None and self.budget_usd.is_finite() and self.budget_usd <= 0:
            problems["budget_usd"] = "Give more than zero, or nothing for no limit."
        found = {name: problem for name, problem in problems.items() if problem}
        if found:
            raise ValidationError(found, code="invalid")

    def usable_at(self, now: datetime) -> bool:
        """Whether the key opens the door at `now`."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)

    def rotating_at(self, now: datetime) -> bool:
        """Whether the key before the last rotation works too at `now`."""
        return self.previous_until is not None and now < self.previous_until
