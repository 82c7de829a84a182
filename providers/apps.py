"""Backends, mappings, keys at rest, cooldowns and usage as a Django application."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProvidersConfig(AppConfig):
    """The provider side of the hub."""

    name = "providers"

    def ready(self) -> None:
        """See to the pools that exist from the start."""
        post_migrate.connect(_ensure_pools, sender=self, dispatch_uid="providers.pools")


def _ensure_pools(**_: Any) -> None:
    from providers.services.pools import pools_ensure  # noqa: PLC0415 - models can't be imported before apps are ready

    pools_ensure()
