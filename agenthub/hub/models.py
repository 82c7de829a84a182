"""Agents and their tokens."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.validators import RegexValidator
from django.db import models

from agenthub.hub.rules.tokens import HINT_CHARACTERS


class Agent(models.Model):
    """A program that works for people. Its number is its identity everywhere, also in its checkpoints."""

    username = models.CharField(
        max_length=64,
        validators=[RegexValidator(r"^[a-z][a-z0-9_.-]*\Z", "A small letter, then small letters, digits and . _ -")],
        help_text="What programs and the command line call it.",
    )
    display_name = models.CharField(max_length=150, blank=True, default="", help_text="What people read.")
    description = models.CharField(max_length=1000, blank=True, default="", help_text="What it is there for.")
    owner = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Who answers for it."
    )
    enabled = models.BooleanField(default=True, help_text="Off: none of its tokens works.")
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("username",)
        constraints = [
            # Programs and people know an agent by its name.
            models.UniqueConstraint(fields=["username"], name="agent_username_unique"),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def shown_name(self) -> str:
        """What people read."""
        return self.display_name or self.username


class AgentToken(models.Model):
    """A token of an agent: the hash of it, and the end that people see. Two work while one takes the other's place."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="tokens")
    digest = models.BinaryField(max_length=32, editable=False)
    hint = models.CharField(max_length=HINT_CHARACTERS, editable=False)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="From then on it does not work.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            # A token is found by its hash.
            models.UniqueConstraint(fields=["digest"], name="agent_token_digest_unique"),
        ]

    def __str__(self) -> str:
        return f"…{self.hint}"

    def works_at(self, now: datetime) -> bool:
        """Whether it opens the door at a time, as far as its own end goes."""
        return self.ends_at is None or now < self.ends_at
