"""Connections as rows: who is there, how far each has received, and the ends of both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.hub.models import Agent, AgentSession, Message, Participant
from agenthub.hub.rules.presence import LEASE_SECONDS
from agenthub.hub.services.participants import epoch

SLICE = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where the inbox of a participant stands."""

    epoch: str
    head: int
    acked: int
    trimmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A new connection of an agent."""

    agent_id: int
    session: str
    legacy: bool
    address: str = ""
    software: str = ""
    capabilities: Sequence[str] = ()
    commands: Sequence[Any] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat said, or that the socket of a plain agent is open still."""

    agent_id: int
    session: str
    beat_at: datetime
    status: str = "idle"
    load: float | None = None
    task_id: str = ""


def inbox_place(participant_id: int) -> Place:
    """Where an inbox stands. Raises Participant.DoesNotExist."""
    row = Participant.objects.get(id=participant_id)
    return Place(epoch=epoch(), head=row.last_seq, acked=row.acked_seq, trimmed=row.trimmed_seq)


def first_within(participant_id: int, *, after: int, most: int, since: datetime) -> int:
    """The number after which a plain client is sent what it has missed: at most so many, and nothing older."""
    seqs = Message.objects.filter(target_id=participant_id, seq__gt=after, created_at__gte=since)
    newest = list(seqs.order_by("-seq").values_list("seq", flat=True)[:most])
    return newest[-1] - 1 if newest else Participant.objects.values_list("last_seq", flat=True).get(id=participant_id)


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection of an agent that is over."""

    agent_id: int
    session: str


@transaction.atomic
def sessions_open(openings: Sequence[Opening]) -> list[Place | None]:
    """Make connections those of their agents: what others held before is replaced. None for an agent that is none any
    more. One statement each for all of them, in the order of agents: thousands may come back at once."""
    now = utc_now()
    newest = {opening.agent_id: opening for opening in openings}
    enabled = set(Agent.objects.filter(id__in=newest, enabled=True).values_list("id", flat=True))
    Agent.objects.filter(id__in=enabled).update(last_seen_at=now)
    AgentSession.objects.bulk_create(
        [_row(newest[agent_id], now) for agent_id in sorted(enabled)],
        update_conflicts=True,
        unique_fields=["agent"],
        update_fields=_SESSION_FIELDS,
    )
    word = epoch()
    rows = Participant.objects.filter(id__in=enabled).values_list("id", "last_seq", "acked_seq", "trimmed_seq")
    places = {number: Place(word, *rest) for number, *rest in rows}
    return [places.get(opening.agent_id) for opening in openings]


_SESSION_FIELDS = (
    *("session", "legacy", "status", "load", "task_id", "software", "capabilities", "commands", "address"),
    *("connected_at", "beat_at", "lease_until"),
)


def _row(opening: Opening, now: datetime) -> AgentSession:
    return AgentSession(
        agent_id=opening.agent_id,
        session=opening.session,
        legacy=opening.legacy,
        software=opening.software[:200],
        capabilities=list(opening.capabilities),
        commands=list(opening.commands),
        address=opening.address[:64],
        connected_at=now,
        beat_at=now,
        lease_until=now + timedelta(seconds=LEASE_SECONDS),
    )


def sessions_end(endings: Iterable[Ending]) -> None:
    """Note that connections are over, but for those whose place another has taken."""
    now = utc_now()
    sessions = AgentSession.objects.filter(session__in=[ending.session for ending in endings], lease_until__gt=now)
    sessions.update(lease_until=now)


def sessions_renew(beats: Iterable[Beat]) -> None:
    """Renew the leases of connections that still are those of their agents."""
    same: dict[tuple[str, float | None, str], list[Beat]] = {}
    for beat in beats:
        same.setdefault((beat.status, beat.load, beat.task_id), []).append(beat)
    # Most say the same: that they are idle.
    for (status, load, task_id), rows in same.items():
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            beat_at = max(beat.beat_at for beat in part)
            AgentSession.objects.filter(session__in=[beat.session for beat in part]).update(
                beat_at=beat_at,
                lease_until=beat_at + timedelta(seconds=LEASE_SECONDS),
                status=status,
                load=load,
                task_id=task_id,
            )
            Agent.objects.filter(id__in=[beat.agent_id for beat in part]).update(last_seen_at=beat_at)


def sessions_of(agent_ids: Iterable[int]) -> dict[int, str]:
    """The connection that each agent has at this moment, whatever process it is of."""
    return dict(AgentSession.objects.filter(agent_id__in=list(agent_ids)).values_list("agent_id", "session"))


def heads_of(participant_ids: Iterable[int]) -> dict[int, int]:
    """The newest number of each inbox."""
    return dict(Participant.objects.filter(id__in=list(participant_ids)).values_list("id", "last_seq"))


@transaction.atomic
def acks_save(acked: Mapping[int, int]) -> None:
    """Note how far inboxes have been received; never less far than before."""
    numbers = sorted(acked)
    for start in range(0, len(numbers), SLICE):
        part = numbers[start : start + SLICE]
        known = Participant.objects.filter(id__in=part).order_by("id").select_for_update()
        rows = [row for row in known if row.acked_seq < acked[row.pk] <= row.last_seq]
        for row in rows:
            row.acked_seq = acked[row.pk]
        Participant.objects.bulk_update(rows, ["acked_seq"])


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """What the presence of an agent is computed from."""

    agent_id: int
    lease_until: datetime
    beat_at: datetime
    status: str
    load: float | None = field(default=None)
    task_id: str = ""


def presence_rows() -> list[PresenceRow]:
    """The connections of all agents."""
    values = AgentSession.objects.values_list("agent_id", "lease_until", "beat_at", "status", "load", "task_id")
    return [PresenceRow(*row) for row in values]
