"""The log of cooldowns."""

from django.db import models

from agenthub.core.fields import ShortIdField


class CooldownEvent(models.Model):
    """One time that a backend was left alone. It keeps the backend's id and name as text: it outlives the backend."""

    class Reason(models.TextChoices):
        """Why a backend is left alone."""

        RATE_LIMITED = "rate_limited", "rate limited (429)"
        FAILURES = "failures", "failures (5xx, connection, timeout)"

    id = ShortIdField("cev")
    backend_id = models.CharField(max_length=16)
    backend_name = models.CharField(max_length=128, blank=True, default="")
    consecutive_count = models.PositiveIntegerField()
    cooldown_seconds = models.FloatField(help_text="From the start to the planned end.")
    reason = models.CharField(max_length=16, choices=Reason.choices)
    response_summary = models.CharField(max_length=200, blank=True, default="")
    started_at = models.DateTimeField()
    until = models.DateTimeField(help_text="The planned end.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="The true end; empty while it lasts.")

    class Meta:
        ordering = ("-started_at", "-id")
        constraints = [
            # Many requests that get 429 at once make one event: there is one open event per backend.
            models.UniqueConstraint(
                fields=["backend_id"], condition=models.Q(ended_at__isnull=True), name="cooldown_event_one_open"
            ),
        ]
        indexes = [
            # The history of one backend, newest first.
            models.Index(fields=["backend_id", "-started_at"], name="cooldown_event_backend_idx"),
            # The history of all, newest first.
            models.Index(fields=["-started_at"], name="cooldown_event_started_idx"),
            # The expiry of cooldowns asks each second for open events whose time has passed.
            models.Index(
                fields=["until"], condition=models.Q(ended_at__isnull=True), name="cooldown_event_open_until_idx"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.backend_name or self.backend_id} {self.started_at:%Y-%m-%d %H:%M:%S}"
