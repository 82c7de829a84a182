"""Saved states of agents. They name their agent as text: a checkpoint outlives what it is of."""

from django.db import models

from agenthub.core.fields import ShortIdField
from storagecustodian.rules.kinds import Kind
from storagecustodian.rules.paths import LONGEST_ID

LONGEST_LABEL = 128
LONGEST_STATUS = 64
LONGEST_NOTE = 500


class AgentLine(models.Model):
    """What is counted per agent. Its row is the lock of everything that adds to or turns the agent's line."""

    agent_id = models.CharField(max_length=LONGEST_ID, primary_key=True)
    sequence = models.BigIntegerField(default=0, help_text="Of the newest checkpoint.")
    epoch = models.BigIntegerField(default=0, help_text="Grows with each restore.")
    auto_iteration = models.BigIntegerField(default=0, help_text="That the last automatic checkpoint was made at.")

    def __str__(self) -> str:
        return self.agent_id


class Checkpoint(models.Model):
    """A saved state of an agent."""

    id = ShortIdField("ckp")
    agent_id = models.CharField("agent", max_length=LONGEST_ID)
    sequence = models.BigIntegerField(help_text="Counts the checkpoints of the agent, without gaps.")
    epoch = models.BigIntegerField(help_text="The time between two restores that it belongs to.")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in Kind])
    label = models.CharField(max_length=LONGEST_LABEL, blank=True, default="", help_text="A name; it is never pruned.")
    pinned = models.BooleanField(default=False, help_text="Never pruned.")
    note = models.CharField(max_length=LONGEST_NOTE, blank=True, default="")
    agent_name = models.CharField(max_length=LONGEST_ID, blank=True, default="")
    agent_type = models.CharField(max_length=LONGEST_ID, blank=True, default="")
    task_id = models.CharField("task", max_length=LONGEST_ID, blank=True, default="")
    status = models.CharField(max_length=LONGEST_STATUS, blank=True, default="")
    iteration = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    size = models.BigIntegerField(help_text="Bytes of the document.")
    stored_size = models.BigIntegerField(help_text="Bytes in the database, after compression.")
    encoding = models.CharField(max_length=8, blank=True, default="")
    sha256 = models.CharField("SHA-256", max_length=64)
    damaged_at = models.DateTimeField(null=True, blank=True, help_text="When its hash was found to be wrong.")
    body = models.BinaryField()  # the last column, so that SQLite need not read past it

    class Meta:
        ordering = ("-sequence",)
        constraints = [
            # The latest of an agent, its list, and no number twice.
            models.UniqueConstraint(fields=["agent_id", "sequence"], name="checkpoint_sequence_unique"),
            # A label names one checkpoint of an agent.
            models.UniqueConstraint(
                fields=["agent_id", "label"], condition=~models.Q(label=""), name="checkpoint_label_unique"
            ),
        ]
        indexes = [
            # The latest of a task, with or without an agent.
            models.Index(fields=["task_id", "-created_at"], name="checkpoint_task_idx"),
            # The list of all.
            models.Index(fields=["-created_at", "-id"], name="checkpoint_created_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} #{self.sequence}"


class Restore(models.Model):
    """A restore or rollback: the epoch that it began, and the checkpoint that it began at."""

    agent_id = models.CharField("agent", max_length=LONGEST_ID)
    epoch = models.BigIntegerField(help_text="The one that it began.")
    from_epoch = models.BigIntegerField()
    from_sequence = models.BigIntegerField()
    checkpoint_id = models.CharField("checkpoint", max_length=16)
    pre_restore_id = models.CharField("state before", max_length=16, blank=True, default="")
    created_at = models.DateTimeField()
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=LONGEST_NOTE, blank=True, default="")

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [models.UniqueConstraint(fields=["agent_id", "epoch"], name="restore_epoch_unique")]

    def __str__(self) -> str:
        return f"{self.agent_id} to {self.checkpoint_id}"
