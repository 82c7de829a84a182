"""`agenthub keys create|revoke|list`."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from agenthub.core.commands import HouseCommand, table
from agenthub.core.errors import NotFound
from proxy.models import ClientKey
from proxy.selectors import client_keys
from proxy.services import client_key_create, client_key_revoke

COLUMNS = ("id", "name", "prefix", "owner", "enabled", "expires_at", "allowed_models", "created_at")


class Command(HouseCommand):
    """Client keys on the command line."""

    help = "Issue, revoke or list client keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        parser.add_argument("action", choices=("create", "revoke", "list"))
        parser.add_argument("key", nargs="?", help="create: the name of the new key; revoke: its id.")
        parser.add_argument("--owner", default="", help="create: the user who answers for it.")
        parser.add_argument("--agent", default="", help="create: the agent that uses it.")
        parser.add_argument("--expires", type=_moment, help="create: when it ends, e.g. 2027-01-31T00:00Z.")
        parser.add_argument("--model", action="append", default=[], help="create: a pattern of models that it may use.")

    def act(self, **options: Any) -> None:
        """Do it."""
        if options["action"] == "list":
            rows = [_row(key) for key in client_keys()]
            self.say(rows, table(COLUMNS, rows), as_json=options["json"])
            return
        if not options["key"]:
            raise CommandError(f"keys {options['action']} needs a name or id.", returncode=2)
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        created = client_key_create(
            name=options["key"],
            owner=_owner(options["owner"]),
            agent_id=options["agent"],
            expires_at=options["expires"],
            allowed_models=options["model"],
        )
        text = f"{created.key}\nThis is the key of {created.row.name} ({created.row.id}); it is shown this once."
        self.say(_row(created.row) | {"key": created.key}, text, as_json=options["json"])

    def _revoke(self, options: dict[str, Any]) -> None:
        if not client_key_revoke(options["key"]):
            raise NotFound(f"There is no client key {options['key']}; “agenthub keys list” shows them.")
        text = f"{options['key']} opens nothing any more."
        self.say({"status": "deleted", "id": options["key"]}, text, as_json=options["json"])


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(text)
    return make_aware(moment) if is_naive(moment) else moment


def _owner(username: str) -> User | None:
    if not username:
        return None
    owner = User.objects.filter(username=username).first()
    if owner is None:
        raise NotFound(f"There is no user {username}.")
    return owner


def _row(key: ClientKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "owner": key.owner.get_username() if key.owner else None,
        "enabled": key.enabled,
        "expires_at": key.expires_at,
        "allowed_models": key.allowed_models,
        "created_at": key.created_at,
    }
