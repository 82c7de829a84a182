"""Backends, mappings, keys at rest, cooldowns and usage as a Django application."""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models.signals import post_migrate


class ProvidersConfig(AppConfig):
    """The provider side of the hub."""

    name = "providers"

    def ready(self) -> None:
        """See to the pools that exist from the start, and start the trail."""
        post_migrate.connect(_ensure_pools, sender=self, dispatch_uid="providers.pools")
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from providers.models import Backend, ModelMapping, ModelRoute, Pool  # noqa: PLC0415
        from providers.services.keys import SECRET_COLUMNS  # noqa: PLC0415

        track(Backend, secrets=tuple(SECRET_COLUMNS), without=("updated_at", *Backend.FINDINGS))
        track(ModelMapping, without=("flagged_at", "flag_reason"))
        track(Pool)
        track(ModelRoute, without=("updated_at",))


def _ensure_pools(apps: Apps = installed, **_: Any) -> None:
    from auditlog.context import disable_auditlog  # noqa: PLC0415

    from providers.services.pools import pools_ensure  # noqa: PLC0415 - models can't be imported before apps are ready

    try:
        apps.get_model("providers", "Pool")
    except LookupError:  # migrated back to nothing
        return
    # The hub's own beginnings are nobody's change.
    with disable_auditlog():
        pools_ensure()
