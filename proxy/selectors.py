"""Reads of client keys."""

from django.db.models import QuerySet

from proxy.models import ClientKey
from proxy.rules.caller import Caller


def callers() -> dict[bytes, Caller]:
    """Every client key by its digest, as the proxy needs it; disabled and expired ones too, so that it can say so."""
    return {
        bytes.fromhex(digest): Caller(
            id=key_id,
            name=name,
            prefix=prefix,
            agent_id=agent_id,
            enabled=enabled,
            expires_at=None if expires_at is None else expires_at.timestamp(),
            allowed_models=tuple(allowed_models),
        )
        for key_id, name, prefix, agent_id, enabled, expires_at, allowed_models, digest in (
            ClientKey.objects.values_list(
                "id", "name", "prefix", "agent_id", "enabled", "expires_at", "allowed_models", "digest"
            ).iterator(chunk_size=5000)
        )
    }


def client_keys() -> QuerySet[ClientKey]:
    """All keys with their owners, newest first."""
    return ClientKey.objects.select_related("owner").order_by("-created_at", "id")
