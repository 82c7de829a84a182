"""Reads of client keys."""

from collections.abc import Iterator
from dataclasses import replace

from django.db.models import QuerySet

from agenthub.core.money import picodollars_from_usd
from proxy.models import ClientKey
from proxy.rules.caller import Budget, Caller, Period


def callers() -> dict[bytes, Caller]:
    """Every client key by its digest, as the proxy needs it; disabled and expired ones too, so that it can say so.

    A key in rotation is there by both its digests.
    """
    return {
        bytes.fromhex(digest): caller
        for row in ClientKey.objects.iterator(chunk_size=5000)
        for digest, caller in _callers_of(row)
    }


def _callers_of(row: ClientKey) -> Iterator[tuple[str, Caller]]:
    caller = _caller(row)
    yield row.digest, caller
    if row.previous_until is not None:
        until = row.previous_until.timestamp()
        ends = until if caller.expires_at is None else min(until, caller.expires_at)
        yield row.previous_digest, replace(caller, prefix=row.previous_prefix, expires_at=ends)


def _caller(row: ClientKey) -> Caller:
    return Caller(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        agent_id=row.agent_id,
        enabled=row.enabled,
        expires_at=None if row.expires_at is None else row.expires_at.timestamp(),
        allowed_models=tuple(row.allowed_models),
        default_model=row.default_model,
        rpm_limit=row.rpm_limit,
        tpm_limit=row.tpm_limit,
        max_parallel=row.max_parallel,
        budget=_budget(row),
        resume=row.resume,
        cache_seconds=row.cache_seconds,
        tags=tuple(row.tags),
    )


def _budget(row: ClientKey) -> Budget | None:
    if row.budget_usd is None:
        return None
    return Budget(amount_picousd=picodollars_from_usd(row.budget_usd), period=Period(row.budget_period))


def client_keys(*, owner: str = "", team: str = "") -> QuerySet[ClientKey]:
    """All keys with their owners, newest first; only those of an owner (user name) or team where one is named."""
    keys = ClientKey.objects.select_related("owner").order_by("-created_at", "id")
    if owner:
        keys = keys.filter(owner__username=owner)
    return keys.filter(team=team) if team else keys


def client_keys_tagged(tag: str, *, owner: str = "", team: str = "") -> list[ClientKey]:
    """Those of the keys that have a tag. SQLite can't look into lists, so they are looked through here."""
    return [key for key in client_keys(owner=owner, team=team) if tag in key.tags]
