"""A directory of agents for tests, which keeps what it was told."""

from collections.abc import Iterable, Mapping

from agenthub.core.agents import AgentIdentity


class Directory:
    """Agents by their token."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentIdentity] = {}
        self.reloaded: list[str] = []

    def add(self, agent_id: str, name: str = "") -> str:
        """A new agent; the answer is its token."""
        token = f"aht_{len(self.agents)}_{'x' * 20}"
        self.agents[token] = AgentIdentity(agent_id, name or f"agent {agent_id}")
        return token

    def authenticate(self, token: str) -> AgentIdentity | None:
        return self.agents.get(token)

    def names(self, agent_ids: Iterable[str]) -> Mapping[str, str]:
        wanted = set(agent_ids)
        return {one.id: one.name for one in self.agents.values() if one.id in wanted}

    def reload(self, agent_id: str) -> None:
        self.reloaded.append(agent_id)
