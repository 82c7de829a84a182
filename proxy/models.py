"""Client keys."""

from datetime import datetime

from django.conf import settings
from django.db import models

from agenthub.core.fields import ShortIdField


class ClientKey(models.Model):
    """A key that AgentHub issues to a caller of /v1. The key itself is shown once; its keyed hash is stored."""

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
    agent_id = models.CharField(max_length=64, blank=True, default="", help_text="The agent that uses it, if one does.")
    prefix = models.CharField(max_length=8, editable=False, help_text="The first characters, to recognise the key by.")
    digest = models.CharField(max_length=64, editable=False)
    enabled = models.BooleanField(default=True, help_text="Off: the key opens nothing, within a second.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="From then on the key opens nothing.")
    allowed_models = models.JSONField(
        default=list,
        blank=True,
        help_text='Patterns of the models that it may use, e.g. ["gpt-4*", "team/*"]; an empty list means all models.',
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        constraints = [
            # A key leads to one caller.
            models.UniqueConstraint(fields=["digest"], name="client_key_digest_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def usable_at(self, now: datetime) -> bool:
        """Whether the key opens the door at `now`."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)
