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


@transaction.atomic
def session_open(opening: Opening) -> Place:
    """Make a connection the one of its agent: what another held before is replaced. Raises Agent.DoesNotExist."""
    now = utc_now()
    if not Agent.objects.filter(id=opening.agent_id, enabled=True).update(last_seen_at=now):
        raise Agent.DoesNotExist
    AgentSession.objects.update_or_create(
        agent_id=opening.agent_id,
        defaults={
            "session": opening.session,
            "legacy": opening.legacy,
            "status": "idle",
            "load": None,
            "task_id": "",
            "software": opening.software[:200],
            "capabilities": list(opening.capabilities),
            "commands": list(opening.commands),
            "address": opening.address[:64],
            "connected_at": now,
            "beat_at": now,
            "lease_until": now + timedelta(seconds=LEASE_SECONDS),
        },
    )
    return inbox_place(opening.agent_id)


def session_end(*, agent_id: int, session: str) -> bool:
    """Note that a connection is over; False if another has taken its place."""
    now = utc_now()
    mine = AgentSession.objects.filter(agent_id=agent_id, session=session, lease_until__gt=now)
    return bool(mine.update(lease_until=now))


def sessions_renew(beats: Iterable[Beat]) -> None:
    """Renew the leases of connections that still are those of their agents."""
    rows = sorted(beats, key=lambda beat: beat.agent_id)
    for start in range(0, len(rows), SLICE):
        with transaction.atomic():
            for beat in rows[start : start + SLICE]:
                AgentSession.objects.filter(agent_id=beat.agent_id, session=beat.session).update(
                    beat_at=beat.beat_at,
                    lease_until=beat.beat_at + timedelta(seconds=LEASE_SECONDS),
                    status=beat.status,
                    load=beat.load,
                    task_id=beat.task_id,
                )
            Agent.objects.filter(id__in=[beat.agent_id for beat in rows[start : start + SLICE]]).update(
                last_seen_at=utc_now()
            )


def sessions_of(agent_ids: Iterable[int]) -> dict[int, str]:
    """The connection that each agent has at this moment, whatever process it is of."""
    return dict(AgentSession.objects.filter(agent_id__in=list(agent_ids)).values_list("agent_id", "session"))


def heads_of(participant_ids: Iterable[int]) -> dict[int, int]:
    """The newest number of each inbox."""
    return dict(Participant.objects.filter(id__in=list(participant_ids)).values_list("id", "last_seq"))


@transaction.atomic
def acks_save(acked: Mapping[int, int]) -> None:
    """Note how far inboxes have been received; never less far than before."""
    for participant_id in sorted(acked):
        rows = Participant.objects.filter(id=participant_id, acked_seq__lt=acked[participant_id])
        rows.filter(last_seq__gte=acked[participant_id]).update(acked_seq=acked[participant_id])


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """What the presence of an agent is computed from."""

    agent_id: int
    lease_until: datetime
    beat_at: datetime
    status: str
    load: float | None = field(default=None)
    task_id: str = ""


def presence_rows(*, since: datetime | None = None) -> list[PresenceRow]:
    """The connections of all agents, or only those that changed since a time."""
    rows = AgentSession.objects.all()
    if since is not None:
        # A lease that was renewed ends a lease's length after that.
        rows = rows.filter(lease_until__gte=since - timedelta(seconds=1))
    values = rows.values_list("agent_id", "lease_until", "beat_at", "status", "load", "task_id")
    return [PresenceRow(*row) for row in values]
