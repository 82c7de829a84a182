"""Checkpoints of agents as a Django application."""

from django.apps import AppConfig


class StorageCustodianConfig(AppConfig):
    """Saved states of agents."""

    name = "storagecustodian"
    verbose_name = "Storage custodian"
