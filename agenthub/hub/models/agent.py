"""Agents and their tokens."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from agenthub.core.timezones import time_zone_refusal
from agenthub.hub.rules.tokens import HINT_CHARACTERS


def _known_time_zone(name: str) -> None:
    if name and (refusal := time_zone_refusal(name)):
        raise ValidationError(f"The time zone {refusal}")


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
    agent_class = models.CharField(max_length=64, blank=True, default="", help_text="Its rank or group, in your words.")
    kind = models.CharField(max_length=64, blank=True, default="", help_text="What sort of program it is.")
    coordinator = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Who leads it."
    )
    backup_agent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Who stands in for it."
    )
    time_zone = models.CharField(max_length=64, blank=True, default="", validators=[_known_time_zone])
    openclaw_id = models.CharField(max_length=128, blank=True, default="", help_text="Its id in OpenClaw.")
    multica_uuid = models.UUIDField(null=True, blank=True, help_text="Its UUID in Multica.")
    workspace = models.CharField(
        max_length=500, blank=True, default="", help_text="The folder with its TODO.md and AGENTS.md."
    )
    check_list = models.JSONField(blank=True, default=list, help_text="What is asked of it on its rounds, as JSON.")
    may_notify = models.BooleanField(default=False, help_text="It may write to people who have not written to it.")
    open_to_members = models.BooleanField(
        default=True, help_text="Every Member may write to it; off: those named here, Operators and Administrators."
    )
    members = models.ManyToManyField(
        User, blank=True, related_name="+", help_text="Members who may write to it though it is not open to all."
    )
    peers = models.ManyToManyField(
        "self", blank=True, help_text="Agents with which it may talk without the Butler between them."
    )
    replays_to_legacy = models.BooleanField(
        default=True,
        help_text="As a plain EchoCenter agent it is sent what it has missed when it connects: at most 100 of a day.",
    )
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
