"""`agenthub agents`."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import IntegrityError

from agenthub.core.commands import HouseCommand, table
from agenthub.hub.models import Agent
from agenthub.hub.selectors import agent_named, agents
from agenthub.hub.services.agents import (
    OVERLAP_SECONDS,
    Issued,
    agent_create,
    agent_delete,
    agent_token_rotate,
    agent_update,
)

COLUMNS = ("id", "username", "display_name", "enabled", "last_seen_at", "created_at")


class Command(HouseCommand):
    """Agents on the command line. Exit codes: 0 done, 1 not done, 2 wrong use."""

    help = "Make, list, enable, disable and delete agents, and give them new tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        _json(words.add_parser("list", help="Show all agents."))
        for word, text in (
            ("create", "Make an agent; its token is shown this once."),
            ("rotate", "Give an agent a new token, which is shown this once."),
            ("enable", "Let its tokens work."),
            ("disable", "Let none of its tokens work."),
            ("delete", "Take an agent away; what it has saved stays."),
        ):
            one = words.add_parser(word, help=text)
            one.add_argument("agent", help="Its name, or its number.")
            if word == "create":
                one.add_argument("--display-name", default="", help="What people read.")
                one.add_argument("--description", default="", help="What it is there for.")
            if word == "rotate":
                one.add_argument("--overlap", type=int, default=OVERLAP_SECONDS, help="Seconds for both tokens.")
            _json(one)

    def act(self, **options: Any) -> None:
        """Do what the word says."""
        getattr(self, f"_{options['action']}")(**options)

    def _list(self, *, json: bool, **_: Any) -> None:
        rows = [_row(agent) for agent in agents()]
        self.say(rows, table(COLUMNS, rows), as_json=json)

    def _create(self, *, agent: str, display_name: str, description: str, json: bool, **_: Any) -> None:
        try:
            issued = agent_create(username=agent, values={"display_name": display_name, "description": description})
        except IntegrityError:
            raise CommandError(f"There is an agent {agent} already.") from None
        self._issued(issued, as_json=json)

    def _rotate(self, *, agent: str, overlap: int, json: bool, **_: Any) -> None:
        self._issued(agent_token_rotate(agent_id=_agent(agent).pk, overlap_seconds=max(0, overlap)), as_json=json)

    def _issued(self, issued: Issued, *, as_json: bool) -> None:
        text = f"Token of agent {issued.agent.pk}, {issued.agent}, shown this once:\n{issued.token}"
        self.say(_row(issued.agent) | {"token": issued.token}, text, as_json=as_json)

    def _enable(self, **options: Any) -> None:
        self._switch(enabled=True, **options)

    def _disable(self, **options: Any) -> None:
        self._switch(enabled=False, **options)

    def _switch(self, *, agent: str, enabled: bool, json: bool, **_: Any) -> None:
        row = agent_update(agent_id=_agent(agent).pk, values={"enabled": enabled})
        self.say(_row(row), f"{row} is {'enabled' if enabled else 'disabled'}.", as_json=json)

    def _delete(self, *, agent: str, json: bool, **_: Any) -> None:
        row = _agent(agent)
        agent_delete(agent_id=row.pk)
        self.say(_row(row), f"{row} is gone.", as_json=json)


def _json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")


def _agent(name: str) -> Agent:
    agent = agent_named(name)
    if agent is None:
        raise CommandError(f"There is no agent {name[:64]}; “agenthub agents list” shows them.")
    return agent


def _row(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.pk,
        "username": agent.username,
        "display_name": agent.display_name or None,
        "enabled": agent.enabled,
        "last_seen_at": agent.last_seen_at.isoformat(timespec="seconds") if agent.last_seen_at else None,
        "created_at": agent.created_at.isoformat(timespec="seconds"),
    }
