"""What happens to agents: they are made, changed, given new tokens and taken away."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from agenthub.core.clock import utc_now
from agenthub.hub.models import Agent, AgentToken
from agenthub.hub.rules.tokens import RANDOM_BYTES, token_agent_id, token_digest, token_hint, token_text

OVERLAP_SECONDS = 86_400
"""How long the old token works beside the new one, unless told."""

LONGEST_OVERLAP_SECONDS = 30 * 86_400
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
    agent = Agent(username=username, **values)
    agent.full_clean(validate_constraints=False)
    agent.save()
    return Issued(agent, _token_issue(agent))


@transaction.atomic
def agent_update(*, agent_id: int, values: Mapping[str, Any]) -> Agent:
    """Change an agent; one that is switched off is refused from its next request on. Raises Agent.DoesNotExist and
    ValidationError of Django."""
    agent = Agent.objects.select_for_update().get(id=agent_id)
    for column, value in values.items():
        setattr(agent, column, value)
    agent.full_clean(validate_constraints=False)
    agent.save(update_fields=list(values))
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
    return Issued(agent, _token_issue(agent))


def agent_delete(*, agent_id: int) -> bool:
    """Take an agent and its tokens away; False if it is gone. What it has saved stays, under its number."""
    return bool(Agent.objects.filter(id=agent_id).delete()[0])


def agent_of_token(token: str, *, now: datetime) -> Agent | None:
    """The agent of a token that works; None for any other text. Notes that it was seen."""
    agent_id = token_agent_id(token)
    if agent_id is None:
        return None
    row = AgentToken.objects.select_related("agent").filter(digest=token_digest(token), agent_id=agent_id).first()
    if row is None or not row.works_at(now) or not row.agent.enabled:
        return None
    seen = row.agent.last_seen_at
    if seen is None or now - seen >= timedelta(seconds=SEEN_SECONDS):
        Agent.objects.filter(id=agent_id).update(last_seen_at=now)
    return row.agent


def _token_issue(agent: Agent) -> str:
    token = token_text(agent.pk, secrets.token_urlsafe(RANDOM_BYTES))
    AgentToken.objects.create(agent=agent, digest=token_digest(token), hint=token_hint(token))
    return token
