"""Parts that must give signs of life."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from heartbeat.rules.components import LONGEST_NAME, CheckKind, Kind
from heartbeat.rules.host import Level
from heartbeat.rules.lateness import INTERVAL_SECONDS, LONGEST_TEXT, STALE_FACTOR, ComponentStatus, expired

LONGEST_INTERVAL_SECONDS = 7 * 86_400
LONGEST_TIMEOUT_SECONDS = 60


class Component(models.Model):
    """A part that must beat, or is checked: a process of AgentHub, what it depends on, or what operators add.

    Its deadlines are epoch seconds, so that a beat moves them, and a sweep finds what is late, in one statement that
    every database understands. Findings are written by services with `update()`, never by `save()`.
    """

    FINDINGS: ClassVar[tuple[str, ...]] = (
        "status",
        "last_seen",
        "sequence",
        "errors",
        "transitions",
        "level",
        "note",
        "late_after",
        "error_after",
        "next_check_at",
    )
    """The columns that AgentHub sets itself."""

    name = models.CharField(max_length=LONGEST_NAME)
    kind = models.CharField(
        max_length=16, choices=[(kind.value, kind.value) for kind in Kind], default=Kind.CUSTOM.value
    )
    node = models.CharField(
        max_length=128, blank=True, default="", help_text="The machine whose worker runs its check; empty for any."
    )
    built_in = models.BooleanField(default=False, editable=False)
    interval_seconds = models.FloatField(
        default=INTERVAL_SECONDS,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_INTERVAL_SECONDS)],
        help_text="It is late when no beat came for so long. Senders beat, and checks run, twice in this time.",
    )
    stale_factor = models.FloatField(
        default=STALE_FACTOR,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="It is in error when no beat came for so many intervals.",
    )
    check_kind = models.CharField(
        max_length=16,
        choices=[(kind.value, kind.value) for kind in CheckKind],
        default=CheckKind.NONE.value,
        verbose_name="check",
        help_text="How AgentHub looks after it; none: it beats by itself.",
    )
    parameters = models.JSONField(default=dict, blank=True, help_text="What the check is told, as a JSON object.")
    timeout_seconds = models.FloatField(
        default=5,
        validators=[MinValueValidator(0.1), MaxValueValidator(LONGEST_TIMEOUT_SECONDS)],
        help_text="Longest time of one check.",
    )
    status = models.CharField(
        max_length=16,
        choices=[(status.value, status.value) for status in ComponentStatus],
        default=ComponentStatus.NEW.value,
        editable=False,
    )
    last_seen = models.DateTimeField(null=True, blank=True, editable=False)
    sequence = models.PositiveBigIntegerField(default=0, editable=False)
    errors = models.JSONField(default=list, blank=True, editable=False)  # at most ten {at, text}, oldest first
    transitions = models.PositiveBigIntegerField(default=0, editable=False)
    level = models.CharField(
        max_length=16, blank=True, choices=[(level.value, level.value or "ok") for level in Level], editable=False
    )
    note = models.CharField(max_length=LONGEST_TEXT, blank=True, default="", editable=False)
    late_after = models.FloatField(editable=False)
    error_after = models.FloatField(editable=False)
    next_check_at = models.FloatField(default=0.0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            # Senders and operators know a component by its name.
            models.UniqueConstraint(fields=["name"], name="component_name_unique"),
            models.CheckConstraint(condition=models.Q(interval_seconds__gt=0), name="component_interval_positive"),
            models.CheckConstraint(condition=models.Q(stale_factor__gte=1), name="component_stale_factor_least"),
        ]
        indexes = [
            # The sweep asks every few seconds for those whose time has passed.
            models.Index(fields=["late_after"], name="component_late_idx"),
            models.Index(fields=["error_after"], name="component_error_idx"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def paused(self) -> bool:
        """Whether nobody looks at it."""
        return self.status == ComponentStatus.PAUSED

    def status_at(self, epoch: float) -> ComponentStatus:
        """How it is at a time, also when no sweep has run since."""
        age_seconds = epoch - (self.late_after - self.interval_seconds)
        return expired(
            ComponentStatus(self.status),
            age_seconds=age_seconds,
            interval_seconds=self.interval_seconds,
            stale_factor=self.stale_factor,
        )
