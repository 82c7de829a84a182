"""The addresses at which outside jobs check in."""

from uuid import UUID

from django.conf import settings


def ping_url(ping_id: UUID) -> str:
    """The address of a check-in: whole where the hub knows its public address, else the path alone."""
    return f"{(settings.ENVIRONMENT.public_url or '').rstrip('/')}/ping/{ping_id}"
