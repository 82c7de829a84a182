"""Reads of agents."""

from django.db.models import Prefetch, Q, QuerySet

from agenthub.hub.models import Agent, AgentToken


def agents(*, q: str = "") -> QuerySet[Agent]:
    """All agents by name, with their tokens, the newest first; only those with a text in their names if it is given."""
    found = Agent.objects.order_by("username").select_related("owner")
    if q:
        found = found.filter(Q(username__icontains=q) | Q(display_name__icontains=q))
    return found.prefetch_related(Prefetch("tokens", AgentToken.objects.order_by("-id")))


def agent_named(name: str) -> Agent | None:
    """An agent by its name or its number; no name is a number."""
    if name.isascii() and name.isdigit() and len(name) <= 18:
        return agents().filter(id=int(name)).first()
    return agents().filter(username=name).first()
