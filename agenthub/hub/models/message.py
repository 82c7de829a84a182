"""Messages: what was acknowledged is a row here before anything else happens."""

from django.db import models


class Message(models.Model):
    """One message in the inbox of its target, and in the history of its thread.

    Numbers instead of foreign keys: a message outlives those whom it names, and a row costs no look at theirs.
    """

    type = models.CharField(max_length=16)  # CHAT, TASK or CANCEL
    sender_id = models.BigIntegerField()
    sender_role = models.CharField(max_length=8)
    target_id = models.BigIntegerField()
    seq = models.BigIntegerField(help_text="Its number in the inbox of its target.")
    thread_id = models.BigIntegerField(null=True)
    local_id = models.CharField(max_length=64, null=True, help_text="What its sender called it; once per sender.")
    stream_id = models.CharField(max_length=128, blank=True, default="")
    reply_to = models.BigIntegerField(null=True)
    task_id = models.CharField(max_length=128, blank=True, default="")
    payload = models.TextField(help_text="JSON as it came: a text or an object.")
    extra = models.TextField(blank=True, default="", help_text="JSON object of what else its frame carries.")
    expires_at = models.DateTimeField(null=True)
    synthesized = models.BooleanField(default=False, help_text="Collected from a stream whose end never came.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            # The inbox: numbers without gaps, and read in order from any number on.
            models.UniqueConstraint(fields=["target_id", "seq"], name="message_target_seq"),
            # A message that is sent again is the same message.
            models.UniqueConstraint(fields=["sender_id", "local_id"], name="message_sender_local_id"),
        ]
        indexes = [
            # The history of a thread.
            models.Index(fields=["thread_id", "id"], name="message_thread"),
            # What was said by when, for retention.
            models.Index(fields=["created_at"], name="message_created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
