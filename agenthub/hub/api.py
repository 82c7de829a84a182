"""The API of agents for those who look after them."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict, NotFound
from agenthub.hub.models import Agent
from agenthub.hub.selectors import agent_named, agents
from agenthub.hub.services.agents import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    agent_create,
    agent_delete,
    agent_token_rotate,
    agent_update,
)

TAGS = ("agents",)
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
    "created_at",
)


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


class IssuedAnswer(AgentAnswer):
    """An agent and its new token, which is shown this once."""

    token = serializers.SerializerMethodField()

    class Meta(AgentAnswer.Meta):
        fields = (*SHOWN, "token")

    def get_token(self, _: Agent) -> str:
        """The token itself."""
        token: str = self.context["token"]
        return token


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


class AgentsView(ManagementView):
    """All agents."""

    permission_model = Agent
    operations: ClassVar = {
        "get": Operation(
            "agents_list",
            "List agents by name",
            answer=AgentAnswer,
            many=True,
            query=(Query("q", help="Only those with this text in their names."),),
            tags=TAGS,
        ),
        "post": Operation(
            "agents_create",
            "Make an agent; its token is shown this once",
            answer=IssuedAnswer,
            body=AgentInput,
            status=201,
            errors=(409,),
            tags=TAGS,
        ),
    }

    def get(self, request: Request) -> Response:
        """They."""
        page = page_asked(request, agents(q=text_asked(request, "q")))
        return Response(AgentAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Make one."""
        json_object(request)
        values = _checked(AgentInput(data=request.data))
        username = values.pop("username")
        try:
            with transaction.atomic():
                issued = agent_create(username=username, values=values)
        except ValidationError as problem:
            raise serializers.ValidationError(problem.message_dict) from None
        except IntegrityError:
            raise _taken(username) from None
        answer = IssuedAnswer(_agent(str(issued.agent.pk)), context={"token": issued.token})
        return Response(answer.data, status=201)


class AgentView(ManagementView):
    """One agent, by its name or number."""

    permission_model = Agent
    operations: ClassVar = {
        "get": Operation("agents_get", "Show an agent", answer=AgentAnswer, errors=(404,), tags=TAGS),
        "patch": Operation(
            "agents_update", "Change an agent", answer=AgentAnswer, body=AgentInput, errors=(404, 409), tags=TAGS
        ),
        "delete": Operation("agents_delete", "Take an agent away", answer=AgentAnswer, errors=(404,), tags=TAGS),
    }

    def get(self, request: Request, agent: str) -> Response:
        """It."""
        return Response(AgentAnswer(_agent(agent)).data)

    def patch(self, request: Request, agent: str) -> Response:
        """Change what is given."""
        row = _agent(agent)
        json_object(request)
        values = _checked(AgentInput(row, data=request.data, partial=True))
        try:
            with transaction.atomic():
                agent_update(agent_id=row.pk, values=values)
        except ValidationError as problem:
            raise serializers.ValidationError(problem.message_dict) from None
        except IntegrityError:
            raise _taken(values["username"]) from None
        return Response(AgentAnswer(_agent(str(row.pk))).data)

    def delete(self, request: Request, agent: str) -> Response:
        """Take it away; what it has saved stays."""
        row = _agent(agent)
        answer = AgentAnswer(row).data
        agent_delete(agent_id=row.pk)
        return Response(answer)


class AgentTokenView(ManagementView):
    """Its token."""

    permission_model = Agent
    operations: ClassVar = {
        "patch": Operation(
            "agents_token",
            "Give an agent a new token, which is shown this once",
            answer=IssuedAnswer,
            body=RotateInput,
            errors=(404,),
            tags=TAGS,
        )
    }

    def patch(self, request: Request, agent: str) -> Response:
        """Rotate it; the old one works on for the overlap."""
        row = _agent(agent)
        json_object(request)
        values = _checked(RotateInput(data=request.data))
        issued = agent_token_rotate(agent_id=row.pk, **values)
        return Response(IssuedAnswer(_agent(str(row.pk)), context={"token": issued.token}).data)


def _checked(given: serializers.Serializer[Any]) -> dict[str, Any]:
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _taken(username: str) -> Conflict:
    return Conflict(f"There is an agent {username} already.", param="username")


def _agent(name: str) -> Agent:
    agent = agent_named(name) if "\0" not in name else None
    if agent is None:
        raise NotFound(f"There is no agent {name[:64]}; GET /api/users/agents lists them.", param="agent")
    return agent
