"""Reads of agents, people and what they say."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Prefetch, Q, QuerySet

from agenthub.hub.models import Agent, AgentToken, Participant
from agenthub.hub.rules.rights import AgentCard, Cards, PersonCard, Role, Sender
from agenthub.hub.services.participants import butler


def agents(*, q: str = "") -> QuerySet[Agent]:
    """All agents by name, with their tokens, the newest first; only those with a text in their names if it is given."""
    found = Agent.objects.order_by("username").select_related("owner", "coordinator", "backup_agent")
    found = found.prefetch_related("members", "peers")
    if q:
        found = found.filter(Q(username__icontains=q) | Q(display_name__icontains=q))
    return found.prefetch_related(Prefetch("tokens", AgentToken.objects.order_by("-id")))


def agent_named(name: str) -> Agent | None:
    """An agent by its name or its number; no name is a number."""
    if name.isascii() and name.isdigit() and len(name) <= 18:
        return agents().filter(id=int(name)).first()
    return agents().filter(username=name).first()


def cards() -> Cards:
    """Everybody who can be written to, for the gateway of a process."""
    members, peers = defaultdict(set), defaultdict(set)
    for agent_id, user_id in Agent.members.through.objects.values_list("agent_id", "user_id"):
        members[agent_id].add(user_id)
    for agent_id, peer_id in Agent.peers.through.objects.values_list("from_agent_id", "to_agent_id"):
        peers[agent_id].add(peer_id)
    people = Participant.objects.filter(kind=Participant.Kind.PERSON).values_list("id", "name", "user__is_active")
    the_butler = butler()
    return Cards(
        agents={
            agent.pk: agent_card(agent, members=members[agent.pk], peers=peers[agent.pk])
            for agent in Agent.objects.all()
        },
        people={number: PersonCard(number, name, bool(active)) for number, name, active in people},
        butler=the_butler.pk,
        butler_name=the_butler.name,
    )


def agent_card(agent: Agent, *, members: Iterable[int], peers: Iterable[int]) -> AgentCard:
    """What the gateway knows of an agent."""
    return AgentCard(
        id=agent.pk,
        name=agent.shown_name,
        enabled=agent.enabled,
        may_notify=agent.may_notify,
        open_to_members=agent.open_to_members,
        replays_to_legacy=agent.replays_to_legacy,
        members=frozenset(members),
        peers=frozenset(peers),
    )


def agent_sender(card: AgentCard) -> Sender:
    """An agent as a sender."""
    return Sender(id=card.id, name=card.name, role=Role.AGENT, may_notify=card.may_notify, peers=card.peers)


def working_tokens(agent_ids: Iterable[int], *, now: datetime) -> dict[bytes, datetime | None]:
    """The hashes of the tokens of agents that work, and when each ends."""
    rows = AgentToken.objects.filter(agent_id__in=list(agent_ids), agent__enabled=True)
    rows = rows.filter(Q(ends_at=None) | Q(ends_at__gt=now))
    return {bytes(digest): ends_at for digest, ends_at in rows.values_list("digest", "ends_at")}
