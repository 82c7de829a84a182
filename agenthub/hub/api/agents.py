"""The API of agents for those who look after them."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, fields_of, page_asked, text_asked
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.hub.api.callers import PEOPLE_AND_TOKEN, ReadsOrHasRole, viewer_of
from agenthub.hub.api.shapes import AgentAnswer, AgentInput, IssuedAnswer, RotateInput, butler_shown
from agenthub.hub.models import Agent
from agenthub.hub.selectors import agent_named, agents
from agenthub.hub.services.agents import (
    agent_create,
    agent_delete,
    agent_token_rotate,
    agent_update,
)

TAGS = ("agents",)


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
        values = fields_of(request, AgentInput)
        username = values.pop("username")
        try:
            with transaction.atomic():
                issued = agent_create(username=username, values=values)
        except ValidationError as problem:
            raise serializers.ValidationError(problem.message_dict) from None
        except IntegrityError:
            raise _taken(username) from None
        answer = IssuedAnswer(agent_or_404(str(issued.agent.pk)), context={"token": issued.token})
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
        return Response(AgentAnswer(agent_or_404(agent)).data)

    def patch(self, request: Request, agent: str) -> Response:
        """Change what is given."""
        row = agent_or_404(agent)
        values = fields_of(request, AgentInput, row, partial=True)
        try:
            with transaction.atomic():
                agent_update(agent_id=row.pk, values=values)
        except ValidationError as problem:
            raise serializers.ValidationError(problem.message_dict) from None
        except IntegrityError:
            raise _taken(values["username"]) from None
        return Response(AgentAnswer(agent_or_404(str(row.pk))).data)

    def delete(self, request: Request, agent: str) -> Response:
        """Take it away; what it has saved stays."""
        row = agent_or_404(agent)
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
        row = agent_or_404(agent)
        values = fields_of(request, RotateInput)
        issued = agent_token_rotate(agent_id=row.pk, **values)
        return Response(IssuedAnswer(agent_or_404(str(row.pk)), context={"token": issued.token}).data)


def _taken(username: str) -> Conflict:
    return Conflict(f"There is an agent {username} already.", param="username")


def agent_or_404(name: str) -> Agent:
    """The agent of a name or number. Raises NotFound."""
    agent = agent_named(name) if "\0" not in name else None
    if agent is None:
        raise NotFound(f"There is no agent {name[:64]}; GET /api/users/agents lists them.", param="agent")
    return agent
