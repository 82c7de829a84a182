"""What happens to agents: they are made, changed, given new tokens and taken away."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from agenthub.core.clock import utc_now
from agenthub.core.versions import bump
from agenthub.hub.models import Agent, AgentToken, Participant
from agenthub.hub.rules.tokens import RANDOM_BYTES, token_agent_id, token_digest, token_hint, token_text

OVERLAP_SECONDS = 86_400
"""How long the old token works beside the new one, unless told."""

LONGEST_OVERLAP_SECONDS = 30 * 86_400
LINKS = ("members", "peers")
"""What an agent has many of."""

SEEN_SECONDS = 60
"""How exactly it is noted when an agent was seen last."""


@dataclass(frozen=True, slots=True)
class Issued:
    """An agent and its new token, which is in no other place."""

    agent: Agent
    token: str = field(repr=False)


@transaction.atomic
def agent_create(*, username: str, values: Mapping[str, Any]) -> Issued:
    """Make an agent and its first token. Raises ValidationError of Django, and IntegrityError for a name taken."""
    links = {name: values[name] for name in LINKS if name in values}
    agent = Agent(username=username, **{name: value for name, value in values.items() if name not in LINKS})
    agent.full_clean(validate_constraints=False)
    # Its number is that of its place among all who can be written to.
    agent.pk = Participant.objects.create(kind=Participant.Kind.AGENT, name=agent.shown_name).pk
    agent.save(force_insert=True)
    _link(agent, links)
    issued = Issued(agent, _token_issue(agent))
    bump("agents")
    return issued


@transaction.atomic
def agent_update(*, agent_id: int, values: Mapping[str, Any]) -> Agent:
    """Change an agent; one that is switched off is refused from its next request on. Raises Agent.DoesNotExist and
    ValidationError of Django."""
    agent = Agent.objects.select_for_update().get(id=agent_id)
    columns = {name: value for name, value in values.items() if name not in LINKS}
    for column, value in columns.items():
        setattr(agent, column, value)
    agent.full_clean(validate_constraints=False)
    agent.save(update_fields=list(columns))
    _link(agent, {name: values[name] for name in LINKS if name in values})
    Participant.objects.filter(id=agent_id).update(name=agent.shown_name)
    bump("agents")
    return agent


@transaction.atomic
def agent_token_rotate(*, agent_id: int, overlap_seconds: int = OVERLAP_SECONDS) -> Issued:
    """Give an agent a new token; the newest before it works on for the overlap, all others end at once.

    Raises Agent.DoesNotExist.
    """
    agent = Agent.objects.select_for_update().get(id=agent_id)
    now = utc_now()
    working = list(agent.tokens.filter(Q(ends_at=None) | Q(ends_at__gt=now)).order_by("-id"))
    for place, token in enumerate(working):
        ends_at = now + timedelta(seconds=overlap_seconds if place == 0 else 0)
        if token.ends_at is None or ends_at < token.ends_at:
            AgentToken.objects.filter(id=token.pk).update(ends_at=ends_at)
    AgentToken.objects.filter(agent=agent, ends_at__lte=now - timedelta(days=1)).delete()
    issued = Issued(agent, _token_issue(agent))
    bump("agents")
    return issued


@transaction.atomic
def agent_delete(*, agent_id: int) -> bool:
    """Take an agent and its tokens away; False if it is gone. What it has saved and said stays, under its number."""
    gone = bool(Agent.objects.filter(id=agent_id).delete()[0])
    if gone:
        bump("agents")
    return gone


def agent_of_token(token: str, *, now: datetime) -> Agent | None:
    """The agent of a token that works; None for any other text. Notes that it was seen."""
    row = token_row(token)
    if row is None or not row.works_at(now) or not row.agent.enabled:
        return None
    agent_id = row.agent_id
    seen = row.agent.last_seen_at
    if seen is None or now - seen >= timedelta(seconds=SEEN_SECONDS):
        Agent.objects.filter(id=agent_id).update(last_seen_at=now)
    return row.agent


def token_rows(tokens: Collection[str]) -> dict[str, AgentToken]:
    """The rows of tokens, with their agents and the peers of those, whether they work or not."""
    digests = {token_digest(token): token for token in tokens if token_agent_id(token) is not None}
    rows = AgentToken.objects.filter(digest__in=digests).select_related("agent").prefetch_related("agent__peers")
    found = {digests[bytes(row.digest)]: row for row in rows}
    return {token: row for token, row in found.items() if row.agent_id == token_agent_id(token)}


def token_row(token: str) -> AgentToken | None:
    """The row of a token, with its agent, whether it works or not; None for any other text."""
    agent_id = token_agent_id(token)
    if agent_id is None:
        return None
    return AgentToken.objects.select_related("agent").filter(digest=token_digest(token), agent_id=agent_id).first()


def _link(agent: Agent, links: Mapping[str, Any]) -> None:
    for name, others in links.items():
        getattr(agent, name).set(others)


def _token_issue(agent: Agent) -> str:
    token = token_text(agent.pk, secrets.token_urlsafe(RANDOM_BYTES))
    AgentToken.objects.create(agent=agent, digest=token_digest(token), hint=token_hint(token))
    return token
