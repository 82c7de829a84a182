"""What people should know of."""

from django.db import models

from agenthub.core.fields import ShortIdField
from heartbeat.rules.alerting import LONGEST_RULE, LONGEST_SOURCE, LONGEST_SUMMARY, AlertState, Severity


class Alert(models.Model):
    """Something that is or was wrong: one row from when it begins until it is resolved, however often it is seen.

    It names what it is about as text: it outlives it.
    """

    id = ShortIdField("alt")
    rule = models.CharField(max_length=LONGEST_RULE, help_text="What has fired, e.g. budget_reached.")
    severity = models.CharField(max_length=16, choices=[(severity.value, severity.value) for severity in Severity])
    source = models.CharField(max_length=LONGEST_SOURCE, help_text="What it is about, e.g. key:key_9f86d081884c.")
    scope = models.CharField(
        max_length=LONGEST_SOURCE, blank=True, default="", help_text="Tells alerts of one rule and source apart."
    )
    fingerprint = models.CharField(max_length=32, editable=False)
    summary = models.CharField(max_length=LONGEST_SUMMARY)
    details = models.JSONField(default=dict, blank=True)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in AlertState], default=AlertState.FIRING.value
    )
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=1, help_text="How often it was seen.")
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="", help_text="Empty: it ended by itself.")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-last_seen_at", "-id")
        constraints = [
            # Many processes may see the same thing at once: there is one alert of it that is not resolved.
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=models.Q(state__in=[AlertState.FIRING.value, AlertState.ACKNOWLEDGED.value]),
                name="alert_one_open",
            ),
            # The list by state and the pruning rely on them.
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in AlertState]), name="alert_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state=AlertState.RESOLVED.value, resolved_at__isnull=False)
                | (~models.Q(state=AlertState.RESOLVED.value) & models.Q(resolved_at__isnull=True)),
                name="alert_resolved_at_its_time",
            ),
        ]
        indexes = [
            # The list of all, and of one state, newest first.
            models.Index(fields=["-last_seen_at"], name="alert_seen_idx"),
            models.Index(fields=["state", "-last_seen_at"], name="alert_state_seen_idx"),
            # The pruning asks for those that were resolved long ago.
            models.Index(fields=["resolved_at"], name="alert_resolved_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.source}"
