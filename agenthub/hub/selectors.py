"""Reads of agents, people and what they say."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery

from agenthub.hub.models import Agent, AgentLog, AgentSession, AgentToken, Message, Participant, Thread
from agenthub.hub.rules.presence import presence
from agenthub.hub.rules.rights import AgentCard, Cards, PersonCard, Role, Sender
from agenthub.hub.services.participants import butler


def agents(*, q: str = "", seen_by: Sender | None = None) -> QuerySet[Agent]:
    """All agents by name, with their connection, their last report and their tokens, the newest first; only those with
    a text in their names, and only those that a person may see, if such are given."""
    found = Agent.objects.order_by("username").select_related("owner", "coordinator", "backup_agent", "session")
    newest = AgentLog.objects.filter(agent_id=OuterRef("pk")).order_by("-id").values("content")[:1]
    found = found.prefetch_related("members", "peers").annotate(last_report=Subquery(newest))
    if seen_by is not None and not seen_by.sees_agents:
        found = found.filter(id__in=seen_agents(seen_by))
    if q:
        found = found.filter(Q(username__icontains=q) | Q(display_name__icontains=q))
    return found.prefetch_related(Prefetch("tokens", AgentToken.objects.order_by("-id")))


def seen_agents(person: Sender) -> QuerySet[Agent, int]:
    """The numbers of the agents that a person may see who does not see all: those that they may write to."""
    members = Agent.members.through.objects.filter(user_id=person.user_id or 0).values("agent_id")
    return Agent.objects.filter(Q(open_to_members=True) | Q(id__in=members)).values_list("id", flat=True)


def presence_of(agent: Agent, *, now: datetime) -> str:
    """Whether an agent is there: `online`, `busy`, `stale` or `offline`."""
    session: AgentSession | None = getattr(agent, "session", None)
    if session is None:
        return "offline"
    return presence(lease_until=session.lease_until, beat_at=session.beat_at, status=session.status, now=now)


def reports(
    *, agent_id: int | None = None, level: str = "", q: str = "", seen_by: Sender | None = None
) -> QuerySet[AgentLog]:
    """What agents have reported, the newest first; None for everybody's, and only what a person may see if one is
    given."""
    found = AgentLog.objects.order_by("-id")
    if agent_id is not None:
        found = found.filter(agent_id=agent_id)
    if level:
        found = found.filter(level=level)
    if q:
        found = found.filter(content__icontains=q)
    if seen_by is not None and not seen_by.sees_agents:
        found = found.filter(agent_id__in=seen_agents(seen_by))
    return found


def threads(*, owner_id: int, kind: str = "", peer_id: int | None = None, q: str = "") -> QuerySet[Thread]:
    """The threads of somebody, what is pinned first, then what was spoken in last."""
    found = Thread.objects.filter(owner_id=owner_id).select_related("peer")
    if kind:
        found = found.filter(kind=kind)
    if peer_id is not None:
        found = found.filter(peer_id=peer_id)
    if q:
        found = found.filter(title__icontains=q)
    return found.order_by("-is_pinned", "-updated_at", "-id")


def messages_between(owner_id: int, peer_id: int) -> QuerySet[Message]:
    """All that was said in the threads of two."""
    of_both = Thread.objects.filter(owner_id=owner_id, peer_id=peer_id).values("id")
    return Message.objects.filter(thread_id__in=of_both)


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
