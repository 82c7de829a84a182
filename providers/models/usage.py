"""The ledger: one record per request, and the sums that pages and budgets read.

Rows hold ids and names as text and have no foreign keys: a ledger outlives what it names. Only
`providers/services/usage.py` writes them, by statements of its own.
"""

from django.db import models

from agenthub.core.fields import ShortIdField, UsdField


class Tokens(models.Model):
    """Disjoint token classes: a prompt is input, cache read and cache write; a completion is output and reasoning."""

    input_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def prompt_tokens(self) -> int:
        """Tokens that went in, cached ones included."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens that came out, reasoning included."""
        return self.output_tokens + self.reasoning_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens


class UsageRecord(Tokens):
    """One request, whether it reached a backend or was refused."""

    id = models.CharField(max_length=64, primary_key=True, help_text="The request id, also in x-request-id.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    client_key_id = models.CharField(max_length=64, blank=True, default="")
    agent_id = models.CharField(max_length=64, blank=True, default="")
    work_item_id = models.CharField(max_length=200, blank=True, default="")
    endpoint = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    native_id = models.CharField(max_length=200, blank=True, default="")
    backend_id = models.CharField(
        max_length=64, blank=True, default="", help_text="The backend that answered or was tried last; empty if none."
    )
    pool = models.CharField(max_length=64, blank=True, default="")
    stream = models.BooleanField()
    status = models.IntegerField(
        help_text="What the client got; 499 if it left, 0 if the hub died before it was known."
    )
    error_type = models.CharField(max_length=64, blank=True, default="")
    attempts = models.IntegerField()
    estimated = models.BooleanField(help_text="The tokens are an estimate.")
    cost_usd = UsdField(null=True, blank=True, help_text="Empty where the model has no price.")
    latency_us = models.BigIntegerField()
    ttft_us = models.BigIntegerField(null=True, blank=True, help_text="Until the first content; empty without any.")
    queue_wait_us = models.BigIntegerField()
    emergency = models.BooleanField()
    partial = models.BooleanField(help_text="Cancelled or cut: the usage is of what was made until then.")
    trail = models.JSONField(default=list, help_text="[backend id, outcome, status, start ms, elapsed ms] per attempt.")

    class Meta:
        ordering = ("-ended_at", "-id")
        indexes = [
            # The list of requests newest first, the figures of the last minute, and retention.
            models.Index(fields=["ended_at"], name="usage_ended_idx"),
            # The requests of one backend newest first, and its rolling figures.
            models.Index(fields=["backend_id", "ended_at"], name="usage_backend_ended_idx"),
            # The requests of one client key newest first.
            models.Index(fields=["client_key_id", "ended_at"], name="usage_client_key_ended_idx"),
            # The failed requests newest first, which are few among many.
            models.Index(fields=["ended_at"], condition=~models.Q(error_type=""), name="usage_failed_ended_idx"),
            # The same of two filters of the admin that mostly find little.
            models.Index(fields=["ended_at"], condition=models.Q(emergency=True), name="usage_emergency_ended_idx"),
            models.Index(fields=["ended_at"], condition=models.Q(estimated=True), name="usage_estimated_ended_idx"),
        ]

    def __str__(self) -> str:
        return self.id


class UsageSums(Tokens):
    """What is counted of many requests. Sums and counts, so that averages of any grouping are exact."""

    request_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0, help_text="providers/rules/usage.py says what an error is.")
    cost_usd = UsdField(null=True, blank=True, help_text="Of the priced requests; empty if there was none.")
    unpriced_count = models.BigIntegerField(default=0, help_text="Requests with tokens that have no price.")
    estimated_count = models.BigIntegerField(default=0)
    latency_us_sum = models.BigIntegerField(default=0, help_text="Of the requests in latency_count.")
    latency_count = models.BigIntegerField(default=0, help_text="Requests that ended well.")
    ttft_us_sum = models.BigIntegerField(default=0)
    ttft_count = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class HourlyUsage(UsageSums):
    """The requests of one backend, model and client key that began in one hour (UTC)."""

    id = ShortIdField("use")
    hour = models.DateTimeField()
    backend_id = models.CharField(max_length=64, blank=True, default="")
    model = models.CharField(max_length=200)
    client_key_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        verbose_name_plural = "hourly usage"
        ordering = ("-hour", "backend_id", "model", "client_key_id")
        constraints = [
            # The row that a batch of records adds to; hour first, so that it serves a stretch of hours too.
            models.UniqueConstraint(
                fields=["hour", "backend_id", "model", "client_key_id"], name="hourly_usage_group_unique"
            ),
        ]
        indexes = [
            # The hours of one backend.
            models.Index(fields=["backend_id", "hour"], name="hourly_usage_backend_idx"),
            # The usage of one client key by day and model.
            models.Index(fields=["client_key_id", "hour"], name="hourly_usage_client_key_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.backend_id} {self.model}"


class DailyStats(UsageSums):
    """The requests of one pool that began on one day (UTC); those refused before any backend have the pool ""."""

    id = ShortIdField("day")
    date = models.DateField()
    pool = models.CharField(max_length=64, blank=True, default="")
    unique_backends = models.IntegerField(default=0, help_text="Backends that answered or were tried last.")
    imported = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="What an import has added, so that the next one adds the rest.",
    )

    class Meta:
        verbose_name_plural = "daily stats"
        ordering = ("-date", "pool")
        constraints = [
            # The row that a batch of records adds to; date first, so that it serves a stretch of days too.
            models.UniqueConstraint(fields=["date", "pool"], name="daily_stats_group_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.pool}"


class DailyBackend(models.Model):
    """That a backend served a pool on a day: its row is inserted once, and only then is `unique_backends` raised."""

    date = models.DateField()
    pool = models.CharField(max_length=64)
    backend_id = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["date", "pool", "backend_id"], name="daily_backend_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.pool} {self.backend_id}"


class JournalPosition(models.Model):
    """How far a journal segment is in the database, written together with what was read from it."""

    segment_id = models.CharField(max_length=64, primary_key=True)
    position = models.BigIntegerField(default=0, help_text="Bytes.")
    closed = models.BooleanField(default=False, help_text="Its writer is dead and nothing is left to read.")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.segment_id}: {self.position}"
