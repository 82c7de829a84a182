"""The agents of this hub, for the parts that know them by their protocol alone."""

from collections.abc import Iterable, Mapping

from agenthub.core.agents import AgentIdentity
from agenthub.core.clock import utc_now
from agenthub.hub.models import Agent
from agenthub.hub.services.agents import agent_of_token


class HubDirectory:
    """`AgentDirectory` over the table of agents."""

    def authenticate(self, token: str) -> AgentIdentity | None:
        """The agent of a token that works."""
        agent = agent_of_token(token, now=utc_now())
        return None if agent is None else AgentIdentity(str(agent.pk), agent.shown_name)

    def names(self, agent_ids: Iterable[str]) -> Mapping[str, str]:
        """The names that people read, of those that there are."""
        numbers = [int(each) for each in agent_ids if each.isascii() and each.isdigit() and len(each) <= 18]
        return {str(agent.pk): agent.shown_name for agent in Agent.objects.filter(id__in=numbers)}

    def reload(self, agent_id: str) -> None:
        """Nothing is pushed to agents yet: one that runs learns of it by the 409 of its next save."""
