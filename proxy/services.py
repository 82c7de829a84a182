"""Making, revoking and rotating client keys."""

import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from agenthub.core.versions import bump
from proxy.models import ClientKey
from proxy.rules.keyhash import client_key_digest, pepper

KEY_PREFIX = "ah-"
KEY_CHARACTERS = 40
PREFIX_SHOWN = 8
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key: the row, and the key itself, which is in no other place."""

    row: ClientKey
    key: str = field(repr=False)


def key_digest(key: str) -> str:
    """The hex digest under which a key is stored, hashed with this hub's secret."""
    return client_key_digest(key, pepper(settings.ENVIRONMENT.secret_key)).hex()


@transaction.atomic
def client_key_create(
    *,
    name: str,
    owner: User | None = None,
    agent_id: str = "",
    expires_at: datetime | None = None,
    allowed_models: list[str] | None = None,
    enabled: bool = True,
) -> CreatedKey:
    """Issue a key: `ah-` and 40 characters out of 62, which are 238 bits. Raises ValidationError naming the field."""
    key = KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(KEY_CHARACTERS))
    row = ClientKey(
        name=name,
        owner=owner,
        agent_id=agent_id,
        prefix=key[:PREFIX_SHOWN],
        digest=key_digest(key),
        enabled=enabled,
        expires_at=expires_at,
        allowed_models=allowed_models or [],
    )
    row.full_clean()
    row.save()
    bump("keys")
    return CreatedKey(row, key)


@transaction.atomic
def client_key_update(row: ClientKey) -> None:
    """Save what was changed on a key's row. Raises ValidationError naming the field."""
    row.full_clean()
    row.save()
    bump("keys")


@transaction.atomic
def client_key_revoke(key_id: str) -> bool:
    """Take a key away for good, in every process within a second; its usage stays. False if there is none."""
    row = ClientKey.objects.filter(id=key_id).first()
    if row is None:
        return False
    row.delete()
    bump("keys")
    return True
