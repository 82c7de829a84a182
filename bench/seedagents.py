"""Fills a hub's new database with agents: `python -m bench.seedagents COUNT PAIRS` prints their tokens as JSON.

The first PAIRS agents may write to the next PAIRS ones, each to one.
"""

import json
import os
import secrets
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - the database is known only now
from django.db import transaction  # noqa: E402

from agenthub.core.versions import bump  # noqa: E402
from agenthub.hub.models import Agent, AgentToken, Participant  # noqa: E402
from agenthub.hub.rules.tokens import RANDOM_BYTES, token_digest, token_hint, token_text  # noqa: E402


@transaction.atomic
def fill(count: int, pairs: int) -> dict[int, str]:
    """Agents by number, with their tokens."""
    places = Participant.objects.bulk_create(
        (Participant(kind=Participant.Kind.AGENT, name=f"bench-{n}") for n in range(count)), batch_size=500
    )
    Agent.objects.bulk_create((Agent(id=each.pk, username=each.name) for each in places), batch_size=500)
    tokens = {each.pk: token_text(each.pk, secrets.token_urlsafe(RANDOM_BYTES)) for each in places}
    AgentToken.objects.bulk_create(
        (AgentToken(agent_id=n, digest=token_digest(t), hint=token_hint(t)) for n, t in tokens.items()), batch_size=500
    )
    numbers = list(tokens)
    link = Agent.peers.through
    links = []
    for n in range(pairs):
        one, other = numbers[n], numbers[pairs + n]
        links += [link(from_agent_id=one, to_agent_id=other), link(from_agent_id=other, to_agent_id=one)]
    link.objects.bulk_create(links, batch_size=500)
    bump("agents")
    return tokens


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    print(json.dumps(fill(int(sys.argv[1]), int(sys.argv[2]))))
