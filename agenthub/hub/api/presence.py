"""The API of who is there: agents, the Butler, and whether a token would let an agent in."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import HouseView, ManagementView, Operation, fields_of
from agenthub.core.clock import utc_now
from agenthub.hub.api.agents import TAGS, agent_or_404
from agenthub.hub.api.callers import PEOPLE_AND_TOKEN, IsCaller, viewer_of
from agenthub.hub.api.shapes import AgentAnswer, butler_shown
from agenthub.hub.gateway.welcome import Known, Shown, all_known
from agenthub.hub.models import Agent
from agenthub.hub.rules.tokens import PREFIX
from agenthub.hub.selectors import agents, presence_of


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
        token = fields_of(request, ConnectionInput)["api_token"]
        found = all_known([Shown(token=token)])[0] if token.startswith(PREFIX) else None
        if isinstance(found, Known):
            agent = agent_or_404(str(found.sender.id))
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
