"""Agents as callers of an API: by their own token, each for what is its own."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agenthub.core.agents import AgentIdentity, agent_directory
from agenthub.core.api import BoundedJSONParser, HouseView
from agenthub.core.api_access import note_actor

MOST_TOKEN = 300


class CheckpointParser(BoundedJSONParser):
    """JSON large enough for a checkpoint; checkpoint_max_bytes bounds what is kept of it."""

    most_bytes = 256 * 1024 * 1024 + 64 * 1024


class AgentTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <agent token>`."""

    def authenticate(self, request: Request) -> tuple[AgentIdentity, None]:
        """The agent. Raises AuthenticationFailed."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        shown = token.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not 0 < len(shown) <= MOST_TOKEN:
            raise AuthenticationFailed("Send 'Authorization: Bearer <agent token>'.")
        agent = agent_directory().authenticate(shown)
        if agent is None:
            raise AuthenticationFailed("This is no agent token that works.")
        note_actor(str(agent))
        return agent, None

    def authenticate_header(self, _request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="AgentHub agents"'


class IsAgent(BasePermission):
    """Authentication has said all: an agent may use what is its own."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        """Whether there is an agent."""
        return isinstance(request.user, AgentIdentity)


class AgentView(HouseView):
    """A view for agents."""

    authentication_classes = (AgentTokenAuthentication,)
    permission_classes = (IsAgent,)
    parser_classes = (CheckpointParser,)


def agent_id_of(request: Request) -> str:
    """The agent that asks."""
    agent: AgentIdentity | Any = request.user
    return str(agent.id)
