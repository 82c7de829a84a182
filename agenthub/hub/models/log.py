"""What agents report."""

from django.db import models


class AgentLog(models.Model):
    """One SYSTEM_LOG of an agent, or a note of the hub about it."""

    class Level(models.TextChoices):
        """How much it matters."""

        INFO = "INFO", "info"
        SUCCESS = "SUCCESS", "success"
        WARNING = "WARNING", "warning"
        ERROR = "ERROR", "error"

    agent_id = models.BigIntegerField()
    level = models.CharField(max_length=8, choices=Level.choices)
    content = models.TextField()
    fields = models.TextField(blank=True, default="", help_text="JSON object, or nothing.")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "report"
        ordering = ("-id",)
        indexes = [
            # The newest of one agent.
            models.Index(fields=["agent_id", "-id"], name="agent_log_agent"),
            # The newest of a level.
            models.Index(fields=["level", "-id"], name="agent_log_level"),
            # What is old enough to go.
            models.Index(fields=["created_at"], name="agent_log_created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.level} {self.content[:80]}"
