"""Threads of LangGraph. What is in them was made into bytes by a saver; nothing here looks inside.

`owner` is the agent whose threads they are, "" for graphs that run inside the hub: one never sees another's.
"""

from django.db import models

from storagecustodian.rules.paths import LONGEST_ID

LONGEST_NAMESPACE = 1000
LONGEST_CHANNEL = 300
LONGEST_VERSION = 100


class GraphCheckpoint(models.Model):
    """A checkpoint of a thread, without the values of its channels but for the small ones inside `body`."""

    pk = models.CompositePrimaryKey("owner", "thread_id", "namespace", "checkpoint_id")
    owner = models.CharField(max_length=LONGEST_ID)
    thread_id = models.CharField(max_length=LONGEST_ID)
    namespace = models.CharField(max_length=LONGEST_NAMESPACE)
    checkpoint_id = models.CharField(max_length=LONGEST_ID)
    parent_id = models.CharField(max_length=LONGEST_ID, blank=True, default="")
    run_id = models.CharField(max_length=LONGEST_ID, blank=True, default="")
    metadata = models.TextField(help_text="A JSON object.")
    versions = models.TextField(help_text="A JSON object: the version of each channel whose value has a row.")
    inline = models.TextField(help_text="A JSON array: the channels whose value is inside the body.")
    kind = models.CharField(max_length=32)
    body = models.BinaryField()

    class Meta:
        indexes = [
            # The deletion of what some runs have made.
            models.Index(fields=["owner", "run_id"], condition=~models.Q(run_id=""), name="graphcheckpoint_run_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.thread_id} {self.checkpoint_id}"


class GraphValue(models.Model):
    """The value of a channel at one version; checkpoints share it."""

    pk = models.CompositePrimaryKey("owner", "thread_id", "namespace", "channel", "version")
    owner = models.CharField(max_length=LONGEST_ID)
    thread_id = models.CharField(max_length=LONGEST_ID)
    namespace = models.CharField(max_length=LONGEST_NAMESPACE)
    channel = models.CharField(max_length=LONGEST_CHANNEL)
    version = models.CharField(max_length=LONGEST_VERSION)
    kind = models.CharField(max_length=32)
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.thread_id} {self.channel}"


class GraphWrite(models.Model):
    """What a task has written after a checkpoint and before the next one."""

    pk = models.CompositePrimaryKey("owner", "thread_id", "namespace", "checkpoint_id", "task_id", "idx")
    owner = models.CharField(max_length=LONGEST_ID)
    thread_id = models.CharField(max_length=LONGEST_ID)
    namespace = models.CharField(max_length=LONGEST_NAMESPACE)
    checkpoint_id = models.CharField(max_length=LONGEST_ID)
    task_id = models.CharField(max_length=LONGEST_ID)
    idx = models.IntegerField(help_text="The place among the task's writes; below zero for LangGraph's own.")
    task_path = models.CharField(max_length=LONGEST_NAMESPACE, blank=True, default="")
    channel = models.CharField(max_length=LONGEST_CHANNEL)
    kind = models.CharField(max_length=32)
    body = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.thread_id} {self.channel}"
