"""What the Butler may do only when a person agrees."""

from django.db import models


class Approval(models.Model):
    """One question to the approvers. The first answer counts; none after its time."""

    class State(models.TextChoices):
        """How it stands."""

        PENDING = "PENDING", "pending"
        APPROVED = "APPROVED", "approved"
        REJECTED = "REJECTED", "rejected"
        EXPIRED = "EXPIRED", "expired"

    action_id = models.CharField(max_length=64)
    agent_id = models.BigIntegerField()
    command = models.TextField()
    reasoning = models.TextField(blank=True, default="")
    asked_by = models.BigIntegerField(help_text="The participant for whom it is asked.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    approver_id = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        constraints = [models.UniqueConstraint(fields=["action_id"], name="approval_action_id")]
        indexes = [models.Index(fields=["state", "expires_at"], name="approval_state_expires")]

    def __str__(self) -> str:
        return self.action_id
