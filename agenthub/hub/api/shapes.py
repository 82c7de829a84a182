"""Agents in requests and answers."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from rest_framework import serializers

from agenthub.core.clock import utc_now
from agenthub.hub.models import Agent
from agenthub.hub.selectors import presence_of
from agenthub.hub.services.agents import LONGEST_OVERLAP_SECONDS, OVERLAP_SECONDS
from agenthub.hub.services.participants import butler

SHOWN: tuple[str, ...] = (
    "id",
    "username",
    "display_name",
    "role",
    "description",
    "agent_class",
    "kind",
    "owner",
    "coordinator",
    "backup_agent",
    "time_zone",
    "openclaw_id",
    "multica_uuid",
    "workspace",
    "check_list",
    "enabled",
    "may_notify",
    "open_to_members",
    "members",
    "peers",
    "replays_to_legacy",
    "last_seen_at",
    "tokens",
    "token_hint",
    "token_updated_at",
    "status",
    "online",
    "last_report",
    "software",
    "capabilities",
    "commands",
    "created_at",
)
HIDDEN: dict[str, Any] = {
    "owner": None,
    "openclaw_id": "",
    "multica_uuid": None,
    "workspace": "",
    "check_list": [],
    "members": [],
    "peers": [],
    "tokens": [],
    "token_hint": "",
    "token_updated_at": None,
}
"""What those who only talk to agents are shown of them in place of the rest."""


def _agent_by_name(**more: Any) -> Any:
    return serializers.SlugRelatedField(required=False, slug_field="username", queryset=Agent.objects.all(), **more)


class TokenHint(serializers.Serializer[Any]):
    """A token, as far as it is shown."""

    hint = serializers.CharField(help_text="Its last characters.")
    ends_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class AgentAnswer(serializers.ModelSerializer[Agent]):
    """An agent."""

    role = serializers.SerializerMethodField()
    owner = serializers.CharField(source="owner.username", allow_null=True, default=None)
    coordinator = serializers.CharField(source="coordinator.username", allow_null=True, default=None)
    backup_agent = serializers.CharField(source="backup_agent.username", allow_null=True, default=None)
    members: Any = serializers.SlugRelatedField(many=True, read_only=True, slug_field="username")
    peers: Any = serializers.SlugRelatedField(many=True, read_only=True, slug_field="username")
    tokens = serializers.SerializerMethodField()
    token_hint = serializers.SerializerMethodField(help_text="The last characters of its newest token.")
    token_updated_at = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField(help_text="online, busy, stale or offline; of the Butler unknown.")
    online = serializers.SerializerMethodField(help_text="Whether it is known to be there.")
    last_report = serializers.CharField(allow_null=True, default="")
    software = serializers.CharField(source="session.software", default="", help_text="What it said of itself.")
    capabilities: Any = serializers.ListField(
        source="session.capabilities", child=serializers.CharField(), default=list
    )
    commands: Any = serializers.ListField(
        source="session.commands", child=serializers.DictField(child=serializers.CharField()), default=list
    )

    class Meta:
        model = Agent
        fields = SHOWN

    def get_role(self, _: Agent) -> str:
        """What it is among those who talk."""
        return "AGENT"

    def get_tokens(self, agent: Agent) -> list[dict[str, Any]]:
        """Those that work."""
        now = utc_now()
        return [dict(TokenHint(token).data) for token in agent.tokens.all() if token.works_at(now)]

    def get_token_hint(self, agent: Agent) -> str:
        """Of the newest."""
        return next((token.hint for token in agent.tokens.all()), "")

    def get_token_updated_at(self, agent: Agent) -> datetime | None:
        """When the newest was given."""
        return next((token.created_at for token in agent.tokens.all()), None)

    def get_status(self, agent: Agent) -> str:
        """Whether it is there."""
        return presence_of(agent, now=utc_now())

    def get_online(self, agent: Agent) -> bool:
        """Whether it can be written to at this moment."""
        return self.get_status(agent) != "offline"

    def to_representation(self, agent: Agent) -> dict[str, Any]:
        """All of it, or what everybody sees."""
        shown: dict[str, Any] = super().to_representation(agent)
        shown["last_report"] = shown["last_report"] or ""
        return shown if self.context.get("whole", True) else shown | HIDDEN


class IssuedAnswer(AgentAnswer):
    """An agent and its new token, which is shown this once."""

    token = serializers.SerializerMethodField()

    api_token = serializers.SerializerMethodField(help_text="The same, by the name that EchoCenter gives it.")

    class Meta(AgentAnswer.Meta):
        fields = (*SHOWN, "token", "api_token")

    def get_token(self, _: Agent) -> str:
        """The token itself."""
        token: str = self.context["token"]
        return token

    def get_api_token(self, agent: Agent) -> str:
        """The token itself."""
        return self.get_token(agent)


class AgentInput(serializers.Serializer[Agent]):
    """An agent in a request. What is not given stays as it is."""

    username = serializers.CharField(max_length=64)
    display_name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    description = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    owner = serializers.SlugRelatedField(
        required=False, allow_null=True, slug_field="username", queryset=User.objects.all()
    )
    agent_class = serializers.CharField(required=False, allow_blank=True, max_length=64)
    kind = serializers.CharField(required=False, allow_blank=True, max_length=64)
    coordinator = _agent_by_name(allow_null=True)
    backup_agent = _agent_by_name(allow_null=True)
    time_zone = serializers.CharField(required=False, allow_blank=True, max_length=64)
    openclaw_id = serializers.CharField(required=False, allow_blank=True, max_length=128)
    multica_uuid = serializers.UUIDField(required=False, allow_null=True)
    workspace = serializers.CharField(required=False, allow_blank=True, max_length=500)
    check_list = serializers.ListField(required=False, max_length=200)
    enabled = serializers.BooleanField(required=False)
    may_notify = serializers.BooleanField(required=False)
    open_to_members = serializers.BooleanField(required=False)
    members = serializers.SlugRelatedField(
        required=False, many=True, slug_field="username", queryset=User.objects.all()
    )
    peers = _agent_by_name(many=True)
    replays_to_legacy = serializers.BooleanField(required=False)


class RotateInput(serializers.Serializer[Any]):
    """How to rotate a token."""

    overlap_seconds = serializers.IntegerField(
        required=False, min_value=0, max_value=LONGEST_OVERLAP_SECONDS, default=OVERLAP_SECONDS
    )


def butler_shown() -> dict[str, Any]:
    """The Butler, in the fields of an agent."""
    row = butler()
    return {
        **dict.fromkeys(SHOWN),
        **dict.fromkeys(("description", "agent_class", "kind", "time_zone", "last_report", "software"), ""),
        **{name: [] for name in ("capabilities", "commands")},
        **HIDDEN,
        "id": row.pk,
        "username": "butler",
        "display_name": row.name,
        "role": "BUTLER",
        "enabled": True,
        "may_notify": True,
        "open_to_members": True,
        "replays_to_legacy": False,
        "status": "unknown",  # nobody keeps a lease for it
        "online": False,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
    }
