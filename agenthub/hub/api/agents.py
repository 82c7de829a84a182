"""The API of agents for those who look after them."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import HouseView, ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.clock import utc_now
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.hub.api.callers import PEOPLE_AND_TOKEN, IsCaller, ReadsOrHasRole, viewer_of
from agenthub.hub.gateway.welcome import Known, Shown, all_known
from agenthub.hub.models import Agent
from agenthub.hub.rules.tokens import PREFIX
from agenthub.hub.selectors import agent_named, agents, presence_of
from agenthub.hub.services.agents import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    agent_create,
    agent_delete,
    agent_token_rotate,
    agent_update,
)
from agenthub.hub.services.participants import butler

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
    status = serializers.SerializerMethodField(help_text="online, busy, stale or offline.")
    online = serializers.SerializerMethodField()
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


class StatusAnswer(serializers.Serializer[Any]):
    """Whether an agent is there."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    status = serializers.CharField(help_text="online, busy, stale or offline.")
    online = serializers.BooleanField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    last_report = serializers.CharField(allow_blank=True)


class ConnectionInput(serializers.Serializer[Any]):
    """A token that is to be tried."""

    api_token = serializers.CharField(max_length=300)


class ConnectionAnswer(serializers.Serializer[Any]):
    """What an agent with this token would meet."""

    ok = serializers.BooleanField(help_text="Whether it may connect.")
    message = serializers.CharField()
    agent_id = serializers.IntegerField(allow_null=True)
    username = serializers.CharField(allow_blank=True)
    online = serializers.BooleanField(help_text="Whether the agent is connected at this moment.")


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


class Everybody:
    """The Butler, then agents: a list that is looked at in parts."""

    def __init__(self, first: list[Any], then: QuerySet[Agent]) -> None:
        self._first = first
        self._then = then

    def count(self) -> int:
        """How many."""
        return len(self._first) + self._then.count()

    def __getitem__(self, part: slice) -> list[Any]:
        """Those of a part with a beginning and an end."""
        skipped = len(self._first)
        start, stop = max(part.start - skipped, 0), max(part.stop - skipped, 0)
        return [*self._first[part], *self._then[start:stop]]


class AgentsView(ManagementView):
    """All agents."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_classes = (ReadsOrHasRole,)
    permission_model = Agent
    operations: ClassVar = {
        "get": Operation(
            "agents_list",
            "List the agents that one may see by name, after the Butler",
            answer=AgentAnswer,
            many=True,
            query=(
                Query("q", help="Only those with this text in their names."),
                Query("exclude_role", help="BUTLER or AGENT: without these."),
                Query("page", int, help="The so-manieth part of `limit` each, in place of offset."),
            ),
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
        q, excluded, viewer = text_asked(request, "q"), text_asked(request, "exclude_role"), viewer_of(request)
        if excluded not in ("", "AGENT", "BUTLER"):
            raise BadRequest("exclude_role must be AGENT or BUTLER.", param="exclude_role")
        first = [butler_shown()] if excluded != "BUTLER" and q.lower() in "butler" else []
        then = agents(q=q, seen_by=viewer) if excluded != "AGENT" else Agent.objects.none()
        page = page_asked(request, Everybody(first, then))
        context = {"whole": viewer is None or viewer.sees_agents}
        shown = [row if isinstance(row, dict) else AgentAnswer(row, context=context).data for row in page.rows]
        return Response(shown, headers=page.headers)

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

    authentication_classes = PEOPLE_AND_TOKEN
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

    authentication_classes = PEOPLE_AND_TOKEN
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


class AgentsStatusView(HouseView):
    """Who is there."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_classes = (IsCaller,)
    operations: ClassVar = {
        "get": Operation(
            "agents_status", "Which of the agents are there", answer=StatusAnswer, many=True, paged=False, tags=TAGS
        )
    }

    def get(self, request: Request) -> Response:
        """All that the caller may see."""
        now = utc_now()
        rows = agents(seen_by=viewer_of(request)).prefetch_related(None)
        return Response([_status(agent, presence_of(agent, now=now)) for agent in rows])


class ButlerView(HouseView):
    """The Butler."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_classes = (IsCaller,)
    operations: ClassVar = {"get": Operation("butler_get", "Show the Butler", answer=AgentAnswer, tags=TAGS)}

    def get(self, _request: Request) -> Response:
        """It."""
        return Response(butler_shown())


class TestConnectionView(ManagementView):
    """Trying a token."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_model = Agent
    operations: ClassVar = {
        "post": Operation(
            "agents_test_connection",
            "Whether an agent with this token may connect, and if not, why",
            answer=ConnectionAnswer,
            body=ConnectionInput,
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """Try it, without connecting."""
        json_object(request)
        token = _checked(ConnectionInput(data=request.data))["api_token"]
        found = all_known([Shown(token=token)])[0] if token.startswith(PREFIX) else None
        if isinstance(found, Known):
            agent = _agent(str(found.sender.id))
            online = presence_of(agent, now=utc_now()) != "offline"
            said = f"{agent.shown_name} is connected." if online else f"{agent.shown_name} may connect."
            return Response(_tried(said, agent=agent, online=online))
        why = found.message if found is not None else f"Tokens of agents begin with {PREFIX}."
        return Response(_tried(why))


def _tried(message: str, *, agent: Agent | None = None, online: bool = False) -> dict[str, Any]:
    name = agent.username if agent is not None else ""
    number = agent.pk if agent is not None else None
    return {"ok": agent is not None, "message": message, "agent_id": number, "username": name, "online": online}


def _status(agent: Agent, state: str) -> dict[str, Any]:
    about = {
        "id": agent.pk,
        "username": agent.username,
        "display_name": agent.display_name,
        "status": state,
        "online": state != "offline",
        "last_seen_at": agent.last_seen_at,
        "last_report": getattr(agent, "last_report", None) or "",
    }
    return dict(StatusAnswer(about).data)


def butler_shown() -> dict[str, Any]:
    """The Butler, in the words of an agent."""
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
        "status": "offline",
        "online": False,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
    }


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
