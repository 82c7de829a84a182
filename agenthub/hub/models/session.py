"""Who is connected, and one-time tickets to connect with."""

from django.db import models

from agenthub.hub.models.agent import Agent


class AgentSession(models.Model):
    """The newest connection of an agent. It counts as long as its lease runs, which heartbeats renew: of a process that
    was killed nothing is left but a lease that ends."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="session")
    session = models.CharField(max_length=32)
    legacy = models.BooleanField(default=False, help_text="Connected as a plain EchoCenter agent.")
    status = models.CharField(max_length=8, default="idle")
    load = models.FloatField(null=True)
    task_id = models.CharField(max_length=128, blank=True, default="")
    software = models.CharField(max_length=200, blank=True, default="", help_text="Its name, version and SDK.")
    capabilities = models.JSONField(default=list)
    commands = models.JSONField(default=list)
    address = models.CharField(max_length=64, blank=True, default="")
    connected_at = models.DateTimeField()
    beat_at = models.DateTimeField(help_text="When it was heard last.")
    lease_until = models.DateTimeField()

    class Meta:
        verbose_name = "connection"
        indexes = [
            # Those whose leases run.
            models.Index(fields=["lease_until"], name="agent_session_lease"),
            # Beats and ends name connections, not agents.
            models.Index(fields=["session"], name="agent_session_session"),
        ]

    def __str__(self) -> str:
        return self.session


class Ticket(models.Model):
    """Opens one WebSocket, once, within seconds: for pages, whose addresses are no place for tokens."""

    digest = models.BinaryField(max_length=32)
    participant_id = models.BigIntegerField()
    session_hash = models.CharField(max_length=128, help_text="Ends with the person's password.")
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="ticket_digest_unique")]
        indexes = [models.Index(fields=["ends_at"], name="ticket_ends_at")]

    def __str__(self) -> str:
        return f"ticket of {self.participant_id}"
