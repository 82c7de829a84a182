"""Everybody who can be written to, with the place of their inbox."""

from django.contrib.auth.models import User
from django.db import models


class Participant(models.Model):
    """Someone who sends and receives. People, agents and the Butler share one space of numbers; an agent's number is
    its participant's.

    The inbox of a participant is the messages to it, numbered 1, 2, 3 … without gaps: whoever writes to it holds the
    lock of this row, so that numbers are given out in the order of commits.
    """

    class Kind(models.TextChoices):
        """What a participant is."""

        PERSON = "PERSON", "person"
        AGENT = "AGENT", "agent"
        BUTLER = "BUTLER", "Butler"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=150, help_text="What people read; kept for the history of one who is gone.")
    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="participant")
    last_seq = models.BigIntegerField(default=0, help_text="The number of the newest message of the inbox.")
    acked_seq = models.BigIntegerField(default=0, help_text="All up to this one have been received.")
    trimmed_seq = models.BigIntegerField(default=0, help_text="All up to this one are history: not replayed any more.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # There is one Butler, whoever starts it first.
            models.UniqueConstraint(fields=["kind"], condition=models.Q(kind="BUTLER"), name="participant_one_butler"),
        ]

    def __str__(self) -> str:
        return self.name


class HubState(models.Model):
    """One row: what is true of this hub as a whole."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.CharField(max_length=16, help_text="Another one after a restore: numbers of inboxes went back.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="hub_state_one_row")]

    def __str__(self) -> str:
        return self.epoch
