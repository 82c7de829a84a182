"""What runs on a schedule, and its runs."""

from typing import ClassVar
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from heartbeat.rules.jobs import LONGEST_KEY, JobKind, RunState
from heartbeat.rules.schedule import (
    DEFAULT_SECONDS,
    LEAST_SECONDS,
    LONGEST_SECONDS,
    Misfire,
    Overlap,
    Schedule,
    ScheduleInvalid,
    ScheduleKind,
    schedule_check,
)

LONGEST_RUN_SECONDS = 7 * 86_400


class Job(models.Model):
    """Something that runs on a schedule, or an outside job that checks in.

    Findings are written by services with `update()`, never by `save()`.
    """

    FINDINGS: ClassVar[tuple[str, ...]] = ("next_due", "last_seen", "late")
    """The columns that AgentHub sets itself."""

    key = models.CharField(max_length=LONGEST_KEY, help_text="Its name in the API and on the command line; it stays.")
    kind = models.CharField(
        max_length=16,
        choices=[(kind.value, kind.value) for kind in JobKind],
        default=JobKind.HTTP.value,
        help_text="callable: a registered function. http: a call. command: a program. reminder: a message. "
        "check_in: an outside job that calls its URL.",
    )
    description = models.CharField(max_length=500, blank=True, default="")
    built_in = models.BooleanField(default=False, editable=False)
    enabled = models.BooleanField(default=True, help_text="Whether it runs by its schedule.")
    schedule = models.CharField(
        max_length=16,
        choices=[(kind.value, kind.value) for kind in ScheduleKind],
        default=ScheduleKind.EVERY.value,
        help_text="every: each so many seconds. cron: an expression. once: at one time.",
    )
    every_seconds = models.FloatField(
        default=DEFAULT_SECONDS,
        validators=[MinValueValidator(LEAST_SECONDS), MaxValueValidator(LONGEST_SECONDS)],
        help_text="Counted from 1970 in UTC, so that 3600 is at every full hour.",
    )
    cron = models.CharField(
        max_length=200, blank=True, default="", help_text="Minute, hour, day of month, month, day of week."
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="The time zone of the cron expression.")
    at = models.DateTimeField(null=True, blank=True, help_text="The one time of a job that runs once.")
    jitter_seconds = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(3600)],
        help_text="A run begins up to so much later than its tick.",
    )
    misfire = models.CharField(
        max_length=16,
        choices=[(rule.value, rule.value) for rule in Misfire],
        default=Misfire.ONCE.value,
        help_text="Ticks that nobody was there for: skip them, make up for all by one run, or run all (ten at most).",
    )
    overlap = models.CharField(
        max_length=16,
        choices=[(rule.value, rule.value) for rule in Overlap],
        default=Overlap.FORBID.value,
        help_text="A tick while a run is not over: forbid skips it, allow runs both, replace stops the older one.",
    )
    grace_seconds = models.FloatField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_SECONDS)],
        help_text="A tick that is later than this is a misfire; a check-in that is later is an alert.",
    )
    max_run_seconds = models.FloatField(
        default=600,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_RUN_SECONDS)],
        help_text="A run that takes longer is stopped.",
    )
    retries = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(10)],
        help_text="How often a run is tried again that failed, took too long, or whose worker died.",
    )
    parameters = models.JSONField(default=dict, blank=True, help_text="What the run is told, as a JSON object.")
    ping_id = models.UUIDField(default=uuid4, editable=False)
    next_due = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen = models.DateTimeField(null=True, blank=True, editable=False)
    late = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("key",)
        constraints = [
            # Programs and people know a job by its key.
            models.UniqueConstraint(fields=["key"], name="job_key_unique"),
            # A check-in names its job by this alone.
            models.UniqueConstraint(fields=["ping_id"], name="job_ping_unique"),
            models.CheckConstraint(condition=models.Q(every_seconds__gt=0), name="job_every_positive"),
        ]
        indexes = [
            # Every tick asks for those that are due.
            models.Index(fields=["next_due"], name="job_due_idx"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def timing(self) -> Schedule:
        """Its schedule as the rules have it."""
        return Schedule(
            kind=ScheduleKind(self.schedule),
            every_seconds=self.every_seconds,
            cron=self.cron,
            time_zone=self.time_zone,
            at=self.at,
        )

    def clean(self) -> None:
        """Refuse schedules that can't be kept."""
        try:
            schedule_check(self.timing)
        except ScheduleInvalid as problem:
            raise ValidationError({problem.field: str(problem)}) from None


class JobRun(models.Model):
    """One tick of a job, and what became of it. The unique pair decides that there is one, whoever sees it first."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs")
    scheduled_for = models.DateTimeField(help_text="The tick, or the moment in which somebody asked for the run.")
    ready_at = models.DateTimeField(help_text="When it may begin: jitter and waits between tries are in here.")
    state = models.CharField(max_length=16, choices=[(state.value, state.value) for state in RunState])
    manual = models.BooleanField(default=False, help_text="Somebody asked for it.")
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True, default="")
    woken_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    stop_asked = models.BooleanField(default=False)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    output = models.TextField(blank=True, default="", help_text="The end of what it wrote.")
    error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ("-scheduled_for", "-id")
        constraints = [
            # One run for each tick, however many schedulers see it. Serves the list of a job's runs too.
            models.UniqueConstraint(fields=["job", "scheduled_for"], name="job_run_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in RunState]), name="job_run_state_known"
            ),
        ]
        indexes = [
            # Every tick asks for runs that are ready, and for those whose lease is over.
            models.Index(
                fields=["ready_at"], name="job_run_ready_idx", condition=models.Q(state=RunState.SCHEDULED.value)
            ),
            models.Index(
                fields=["lease_until"], name="job_run_lease_idx", condition=models.Q(state=RunState.RUNNING.value)
            ),
            # The pruning asks for those that ended long ago.
            models.Index(fields=["ended_at"], name="job_run_ended_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.scheduled_for.isoformat()}"
