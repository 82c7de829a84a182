"""`agenthub keys create|list|rotate|revoke`."""

from argparse import ArgumentParser
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from agenthub.core.commands import HouseCommand, table
from agenthub.core.errors import NotFound
from agenthub.core.money import usd_text
from proxy.models import ClientKey
from proxy.rules.caller import Period
from proxy.selectors import client_keys, client_keys_tagged
from proxy.services import OVERLAP_SECONDS, CreatedKey, client_key_create, client_key_revoke, client_key_rotate

COLUMNS = (
    "id",
    "name",
    "prefix",
    "owner",
    "team",
    "enabled",
    "expires_at",
    "allowed_models",
    "budget_usd",
    "budget_period",
    "created_at",
)


class Command(HouseCommand):
    """Client keys on the command line."""

    help = "Issue, list, rotate or revoke client keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        parser.add_argument("action", choices=("create", "list", "rotate", "revoke"))
        parser.add_argument("key", nargs="?", help="create: the name of the new key; rotate, revoke: its id.")
        parser.add_argument("--owner", default="", help="create: the user who answers for it; list: only theirs.")
        parser.add_argument("--team", default="", help="create: the team that it belongs to; list: only theirs.")
        parser.add_argument("--tag", action="append", default=[], help="create: a tag of it; list: only those with it.")
        parser.add_argument("--agent", default="", help="create: the agent that uses it.")
        parser.add_argument("--expires", type=_moment, help="create: when it ends, e.g. 2027-01-31T00:00Z.")
        parser.add_argument("--model", action="append", default=[], help="create: a pattern of models that it may use.")
        parser.add_argument("--rpm", type=int, help="create: requests per minute.")
        parser.add_argument("--tpm", type=int, help="create: tokens per minute.")
        parser.add_argument("--parallel", type=int, help="create: requests that may run at the same time.")
        parser.add_argument("--budget", type=_usd, help="create: USD that it may spend in each period.")
        periods = [period.value for period in Period]
        parser.add_argument("--period", choices=periods, default=Period.MONTH.value, help="create: of the budget.")
        parser.add_argument("--default-model", default="", help="create: what is meant where a request names no model.")
        parser.add_argument("--resume", action="store_true", help="create: cut streams go on at another backend.")
        parser.add_argument("--cache", type=int, default=0, help="create: seconds that answers are kept.")
        overlap = "rotate: seconds that the old key works; a day unless told."
        parser.add_argument("--overlap", type=int, default=OVERLAP_SECONDS, help=overlap)

    def act(self, **options: Any) -> None:
        """Do it."""
        if options["action"] == "list":
            rows = [_row(key) for key in _listed(options)]
            self.say(rows, table(COLUMNS, rows), as_json=options["json"])
            return
        if not options["key"]:
            raise CommandError(f"keys {options['action']} needs a name or id.", returncode=2)
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        created = client_key_create(
            name=options["key"],
            owner=_owner(options["owner"]),
            team=options["team"],
            tags=options["tag"],
            agent_id=options["agent"],
            expires_at=options["expires"],
            allowed_models=options["model"],
            rpm_limit=options["rpm"],
            tpm_limit=options["tpm"],
            max_parallel=options["parallel"],
            budget_usd=options["budget"],
            budget_period=options["period"],
            default_model=options["default_model"],
            resume=options["resume"],
            cache_seconds=options["cache"],
        )
        self._say_once(created, "", options)

    def _rotate(self, options: dict[str, Any]) -> None:
        created = client_key_rotate(key_id=options["key"], overlap_seconds=options["overlap"])
        old = f" The key before it, {created.row.previous_prefix}…, works until {created.row.previous_until:%F %T} UTC."
        self._say_once(created, old, options)

    def _say_once(self, created: CreatedKey, more: str, options: dict[str, Any]) -> None:
        text = f"{created.key}\nThis is the key of {created.row.name} ({created.row.id}); it is shown this once.{more}"
        self.say(_row(created.row) | {"key": created.key}, text, as_json=options["json"])

    def _revoke(self, options: dict[str, Any]) -> None:
        if not client_key_revoke(options["key"]):
            raise NotFound(f"There is no client key {options['key']}; “agenthub keys list” shows them.")
        text = f"{options['key']} opens nothing any more."
        self.say({"status": "deleted", "id": options["key"]}, text, as_json=options["json"])


def _listed(options: dict[str, Any]) -> list[ClientKey]:
    of_them = {"owner": options["owner"], "team": options["team"]}
    if not options["tag"]:
        return list(client_keys(**of_them))
    first, *others = options["tag"]
    return [key for key in client_keys_tagged(first, **of_them) if set(others) <= set(key.tags)]


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None


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
        "previous_until": key.previous_until,
        "owner": key.owner.get_username() if key.owner else None,
        "team": key.team,
        "tags": key.tags,
        "agent_id": key.agent_id,
        "enabled": key.enabled,
        "expires_at": key.expires_at,
        "allowed_models": key.allowed_models,
        "rpm_limit": key.rpm_limit,
        "tpm_limit": key.tpm_limit,
        "max_parallel": key.max_parallel,
        "budget_usd": None if key.budget_usd is None else usd_text(key.budget_usd),
        "budget_period": key.budget_period,
        "default_model": key.default_model,
        "resume": key.resume,
        "cache_seconds": key.cache_seconds,
        "created_at": key.created_at,
    }
