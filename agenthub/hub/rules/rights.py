"""Who may send what to whom, by what the hub knows of the two, never by what a frame says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a connection is, as frames name it."""

    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    BUTLER = "BUTLER"
    AGENT = "AGENT"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: a participant with what it may do."""

    id: int
    name: str
    role: Role
    user_id: int | None = None
    operator: bool = False  # may write to every agent, and approves
    writes: bool = True  # Viewers read
    sees_agents: bool = False  # sees every agent's reports and presence
    may_notify: bool = False  # an agent that may write first
    peers: frozenset[int] = frozenset()

    @property
    def is_person(self) -> bool:
        """Whether a person sits there."""
        return self.role in (Role.ADMIN, Role.MEMBER)

    @property
    def approves(self) -> bool:
        """Whether it may answer what the Butler asks."""
        return self.is_person and (self.role is Role.ADMIN or self.operator)


@dataclass(frozen=True, slots=True)
class AgentCard:
    """What the hub knows of an agent that others may write to."""

    id: int
    name: str
    enabled: bool = True
    may_notify: bool = False
    open_to_members: bool = True
    replays_to_legacy: bool = True
    members: frozenset[int] = frozenset()  # users
    peers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class PersonCard:
    """What the hub knows of a person who can be written to."""

    id: int
    name: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Cards:
    """Everybody who can be written to."""

    agents: Mapping[int, AgentCard] = field(default_factory=dict)
    people: Mapping[int, PersonCard] = field(default_factory=dict)
    butler: int = 0
    butler_name: str = "Butler"

    def name(self, participant_id: int) -> str:
        """What people call someone; "" for nobody known."""
        if participant_id == self.butler:
            return self.butler_name
        card = self.agents.get(participant_id) or self.people.get(participant_id)
        return card.name if card is not None else ""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why not: an ERROR's code and its message."""

    code: str
    message: str


_BY_ROLE = {
    "CHAT": frozenset(Role),
    "CHAT_STREAM": frozenset({Role.AGENT, Role.BUTLER}),
    "CHAT_STREAM_END": frozenset({Role.AGENT, Role.BUTLER}),
    "SYSTEM_LOG": frozenset({Role.AGENT, Role.BUTLER}),
    "HEARTBEAT": frozenset(Role),
    "CHECKPOINT": frozenset({Role.AGENT, Role.BUTLER}),
    "TASK": frozenset({Role.AGENT, Role.BUTLER}),
    "CANCEL": frozenset({Role.ADMIN, Role.MEMBER, Role.BUTLER}),
    "AUTH_REQUEST": frozenset({Role.BUTLER}),
    "AUTH_RESPONSE": frozenset({Role.ADMIN, Role.MEMBER}),
    "READ": frozenset({Role.ADMIN, Role.MEMBER}),
    "SUBSCRIBE": frozenset({Role.ADMIN, Role.MEMBER, Role.BUTLER}),
    "ACK": frozenset(Role),
    "HELLO": frozenset(Role),
}
_HARMLESS = frozenset({"HEARTBEAT", "ACK", "READ", "SUBSCRIBE", "HELLO"})


def may_send(sender: Sender, kind: str) -> Denied | None:
    """Why somebody may not send a type of frame at all; None when it may."""
    if sender.is_person and not sender.writes and kind not in _HARMLESS:
        return Denied("forbidden_type", "Your role reads; the group Members may write.")
    if kind.startswith("X_"):
        allowed = sender.role is not Role.MEMBER
    else:
        allowed = sender.role in _BY_ROLE.get(kind, frozenset())
    if kind == "AUTH_RESPONSE" and not sender.approves:
        allowed = False
    return None if allowed else Denied("forbidden_type", f"A {sender.role} may not send {kind}.")


def may_write(sender: Sender, target_id: int, cards: Cards) -> Denied | None:
    """Why a CHAT, TASK or CANCEL may not go to somebody; None when it may. Whether an agent may write to a person who
    has not spoken first, only the rows of their threads tell (`needs_thread`)."""
    if target_id == sender.id:
        return Denied("unknown_target", "Nobody writes to themselves here.")
    if target_id == cards.butler:
        return None
    agent = cards.agents.get(target_id)
    if agent is not None:
        return _may_write_to_agent(sender, agent)
    person = cards.people.get(target_id)
    if person is None:
        return Denied("unknown_target", f"There is nobody with the number {target_id}.")
    if not person.active:
        return Denied("unknown_target", f"{person.name} is not here any more.")
    if sender.is_person:
        return Denied("forbidden_type", "People do not write to people here, only to agents and the Butler.")
    return None


def _may_write_to_agent(sender: Sender, agent: AgentCard) -> Denied | None:
    if not agent.enabled:
        return Denied("unknown_target", f"The agent {agent.name} is switched off.")
    if sender.role is Role.AGENT and agent.id not in sender.peers:
        return Denied("forbidden_type", f"Agents talk to {agent.name} through the Butler, unless they are its peers.")
    if sender.role is Role.MEMBER and not sender.operator and not is_open_to(agent, sender):
        return Denied("forbidden_type", f"You may not write to {agent.name}; its owner says who may.")
    return None


def is_open_to(agent: AgentCard, sender: Sender) -> bool:
    """Whether an agent is for everybody, or for this person."""
    return agent.open_to_members or sender.user_id in agent.members


def needs_thread(sender: Sender, target_id: int, cards: Cards) -> bool:
    """Whether it may write only where the other, or the Butler, has spoken first."""
    return sender.role is Role.AGENT and target_id in cards.people and not sender.may_notify
