"""Agents as a Django application."""

from django.apps import AppConfig


class HubConfig(AppConfig):
    """Who is an agent, and by which tokens."""

    name = "agenthub.hub"
    label = "hub"

    def ready(self) -> None:
        """Start the trail."""
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from agenthub.hub.models import Agent  # noqa: PLC0415

        track(Agent, without=("last_seen_at",))
