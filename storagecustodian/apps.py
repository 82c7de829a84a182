"""Checkpoints of agents as a Django application."""

from django.apps import AppConfig


class StorageCustodianConfig(AppConfig):
    """Saved states of agents."""

    name = "storagecustodian"
    verbose_name = "Storage custodian"

    def ready(self) -> None:
        """Start the trail of restores."""
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from storagecustodian.models import Restore  # noqa: PLC0415

        track(Restore)
