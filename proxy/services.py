"""Making, revoking and rotating client keys."""

import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Required, TypedDict, Unpack

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.core.errors import BadRequest, NotFound
from agenthub.core.versions import bump
from proxy.models import ClientKey
from proxy.rules.keyhash import client_key_digest, pepper

KEY_PREFIX = "ah-"
KEY_CHARACTERS = 40
PREFIX_SHOWN = 8
OVERLAP_SECONDS = 86_400
"""How long the old key works beside the new one, unless told."""

LONGEST_OVERLAP_SECONDS = 30 * 86_400
_ALPHABET = string.ascii_letters + string.digits


class KeyValues(TypedDict, total=False):
    """What may be said of a new key; the rest is the default of its column."""

    name: Required[str]
    owner: User | None
    team: str
    tags: list[str]
    agent_id: str
    enabled: bool
    expires_at: datetime | None
    allowed_models: list[str]
    rpm_limit: int | None
    tpm_limit: int | None
    max_parallel: int | None
    budget_usd: Decimal | None
    budget_period: str
    default_model: str
    resume: bool
    cache_seconds: int


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key: the row, and the key itself, which is in no other place."""

    row: ClientKey
    key: str = field(repr=False)


def key_digest(key: str) -> str:
    """The hex digest under which a key is stored, hashed with this hub's secret."""
    return client_key_digest(key, pepper(settings.ENVIRONMENT.secret_key)).hex()


def _new_key() -> str:
    """`ah-` and 40 characters out of 62, which are 238 bits."""
    return KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(KEY_CHARACTERS))


@transaction.atomic
def client_key_create(**values: Unpack[KeyValues]) -> CreatedKey:
    """Issue a key. Raises ValidationError naming the field."""
    key = _new_key()
    row = ClientKey(**values, prefix=key[:PREFIX_SHOWN], digest=key_digest(key))
    row.full_clean()
    row.save()
    bump("keys")
    return CreatedKey(row, key)


@transaction.atomic
def client_key_update(row: ClientKey) -> None:
    """Save what people have changed on a key's row. Raises ValidationError naming the field."""
    row.full_clean()
    # Without the digests: a row that was read before a rotation must not bring the old key back.
    row.save(update_fields=[*KeyValues.__annotations__, "updated_at"])
    bump("keys")


@transaction.atomic
def client_key_rotate(*, key_id: str, overlap_seconds: int = OVERLAP_SECONDS) -> CreatedKey:
    """Give a row a new key; the old one works for `overlap_seconds` more, 0 to 30 days.

    A second rotation meanwhile ends the oldest key at once. Raises NotFound, and BadRequest for another overlap.
    """
    if not 0 <= overlap_seconds <= LONGEST_OVERLAP_SECONDS:
        raise BadRequest(
            f"overlap_seconds must be between 0 and {LONGEST_OVERLAP_SECONDS}, which are 30 days.",
            param="overlap_seconds",
        )
    row = ClientKey.objects.select_for_update(of=("self",)).select_related("owner").filter(id=key_id).first()
    if row is None:
        raise NotFound(f"There is no client key {key_id[:40]}; “agenthub keys list” shows them.", param="id")
    key = _new_key()
    row.previous_prefix, row.previous_digest = row.prefix, row.digest
    row.previous_until = utc_now() + timedelta(seconds=overlap_seconds)
    row.prefix, row.digest = key[:PREFIX_SHOWN], key_digest(key)
    row.save(update_fields=["prefix", "digest", "previous_prefix", "previous_digest", "previous_until", "updated_at"])
    bump("keys")
    return CreatedKey(row, key)


@transaction.atomic
def client_key_revoke(key_id: str) -> bool:
    """Take a key away for good, in every process within a second; its usage stays. False if there is none."""
    row = ClientKey.objects.filter(id=key_id).first()
    if row is None:
        return False
    row.delete()
    bump("keys")
    return True
