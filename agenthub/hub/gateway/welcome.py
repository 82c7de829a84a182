"""How a connection begins: who comes, in which version of the protocol, and from which message on."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from agenthub.core.clock import utc_now
from agenthub.hub.models import AgentToken
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.frames import Frame
from agenthub.hub.rules.rights import Sender
from agenthub.hub.selectors import agent_card, agent_sender
from agenthub.hub.services.agents import token_rows
from agenthub.hub.services.sessions import Place
from agenthub.hub.services.signin import BUTLER_PREFIX, PERSON_PREFIX, signed_in, ticket_take

SUBPROTOCOL = "agenthub.v1"
TOKEN_SUBPROTOCOL = "ahtok."  # noqa: S105 - the prefix of one
PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client shows at the door."""

    token: str = ""
    ticket: str = ""
    in_address: bool = False  # the token stood in the address, as plain clients do it


@dataclass(frozen=True, slots=True)
class Known:
    """Whom the door has let in."""

    sender: Sender
    digest: bytes = b""  # of an agent's token
    ends_at: datetime | None = None
    session_hash: str = ""
    replays_to_legacy: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the door stays shut: a close code for those who speak version 1, a status for plain clients."""

    code: Close
    status: int
    message: str


def shown(scope: Mapping[str, Any]) -> Shown:
    """The token or ticket of a connection, from the first place that has one."""
    headers = dict(scope["headers"])
    scheme, _, bearer = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return Shown(token=bearer.strip())
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(TOKEN_SUBPROTOCOL):
            return Shown(token=_decoded(offered.removeprefix(TOKEN_SUBPROTOCOL)))
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if "ticket" in query:
        return Shown(ticket=query["ticket"][0])
    return Shown(token=query.get("token", [""])[0], in_address=True)


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def all_known(shown: Sequence[Shown]) -> list[Known | Refusal]:
    """Who shows this, for many at once. Reads the database, and takes tickets."""
    tokens = {given.token for given in shown if given.token and not given.token.startswith(_OF_PEOPLE)}
    rows = token_rows(tokens)
    return [_agent(rows.get(given.token)) if given.token in tokens else _person(given) for given in shown]


_OF_PEOPLE = (PERSON_PREFIX, BUTLER_PREFIX)


def _person(given: Shown) -> Known | Refusal:
    if given.ticket:
        person = ticket_take(given.ticket)
        if person is None:
            return Refusal(Close.BAD_TOKEN, 401, "The ticket does not work: each opens one connection, within 30 s.")
        return Known(person.sender, ends_at=person.ends_at, session_hash=person.session_hash)
    if not given.token:
        return Refusal(Close.BAD_TOKEN, 401, "No token came; send Authorization: Bearer with an agent's token.")
    someone = signed_in(given.token)
    if someone is None:
        return Refusal(Close.BAD_TOKEN, 401, "The token does not work, or has run out; sign in again.")
    return Known(someone.sender, ends_at=someone.ends_at, session_hash=someone.session_hash)


def _agent(row: AgentToken | None) -> Known | Refusal:
    if row is None:
        return Refusal(Close.BAD_TOKEN, 401, "The token is not that of an agent of this hub.")
    if not row.works_at(utc_now()):
        return Refusal(Close.TOKEN_ENDED, 401, "The token was rotated or has run out; give the agent its new one.")
    agent = row.agent
    if not agent.enabled:
        return Refusal(Close.FORBIDDEN, 403, f"The agent {agent.username} is switched off.")
    card = agent_card(agent, members=(), peers=[peer.pk for peer in agent.peers.all()])
    return Known(
        agent_sender(card),
        digest=bytes(row.digest),
        ends_at=row.ends_at,
        replays_to_legacy=agent.replays_to_legacy,
    )


@dataclass(frozen=True, slots=True)
class Start:
    """From where a client of version 1 is sent its messages."""

    after: int
    resumed: bool
    gap: tuple[int, int, str] | None = None


def start(place: Place, resume: Mapping[str, Any] | None, *, person: bool) -> Start:
    """Where to begin: after what the client has, if it says so; else after what it has acknowledged, or, for people,
    who read what was before by REST, after all there is."""
    epoch = resume.get("epoch") if resume else None
    last = resume.get("last_seq") if resume else None
    if not isinstance(last, int) or isinstance(last, bool) or last < 0 or not isinstance(epoch, str):
        after = place.head if person else max(place.acked, place.trimmed)
        lost = place.trimmed > place.acked and not person
        return Start(after, False, (place.acked + 1, place.trimmed, "retention") if lost else None)
    if epoch != place.epoch or last > place.head:
        # The database was restored: its numbers are others than those that the client knows.
        after = place.head if person else max(place.acked, place.trimmed)
        return Start(after, False, (min(last, after) + 1, max(last, after), "restored"))
    if last < place.trimmed:
        return Start(place.trimmed, False, (last + 1, place.trimmed, "retention"))
    return Start(last, True)


def hello_fields(frame: Frame) -> dict[str, Any]:
    """What a HELLO says of its software, bounded."""
    agent = frame.body.get("agent")
    parts = [agent.get(name) for name in ("name", "version", "sdk")] if isinstance(agent, dict) else []
    software = " ".join(str(part)[:60] for part in parts if isinstance(part, str))
    capabilities = frame.body.get("capabilities")
    commands = frame.body.get("commands")
    return {
        "software": software.replace("\0", ""),
        "capabilities": [_plain(each) for each in capabilities[:100] if isinstance(each, str)]
        if isinstance(capabilities, list)
        else [],
        "commands": [
            {name: _plain(str(each.get(name) or "")) for name in ("name", "args", "help")}
            for each in commands[:100]
            if isinstance(each, dict)
        ]
        if isinstance(commands, list)
        else [],
    }


def _plain(text: str) -> str:
    return text.replace("\0", "")[:300]


def replay_since() -> datetime:
    """The oldest message that a plain client is sent anew."""
    return utc_now() - timedelta(hours=24)
