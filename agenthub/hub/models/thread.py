"""Conversations."""

from django.db import models

from agenthub.hub.models.participant import Participant


class Thread(models.Model):
    """What two participants say to each other under one title. A message that names no thread goes to the one that is
    marked as the default of its two participants."""

    class Kind(models.TextChoices):
        """Who talks."""

        BUTLER_DIRECT = "butler_direct", "a person and the Butler"
        AGENT_DIRECT = "agent_direct", "a person and an agent"
        BUTLER_AGENT_MONITOR = "butler_agent_monitor", "the Butler and an agent"

    kind = models.CharField(max_length=24, choices=Kind.choices)
    owner = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="+", help_text="Whose thread it is.")
    peer = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="+", help_text="With whom.")
    title = models.CharField(max_length=200, blank=True, default="")
    summary = models.CharField(max_length=4000, blank=True, default="")
    is_default = models.BooleanField(default=False)
    is_pinned = models.BooleanField(default=False)
    is_archived = models.BooleanField(default=False)
    owner_spoke = models.BooleanField(default=False, help_text="Only then may an agent write here unasked.")
    read_id = models.BigIntegerField(default=0, help_text="The newest message that its owner has read.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(help_text="When something was said last.")

    class Meta:
        ordering = ("-updated_at",)
        constraints = [
            # Two processes that both need a default thread make one.
            models.UniqueConstraint(
                fields=["owner", "peer"], condition=models.Q(is_default=True), name="thread_one_default"
            ),
        ]
        indexes = [
            # A person's list of threads, the newest first.
            models.Index(fields=["owner", "-updated_at"], name="thread_owner_updated"),
        ]

    def __str__(self) -> str:
        return self.title or f"thread {self.pk}"
