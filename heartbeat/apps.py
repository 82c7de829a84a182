"""Jobs, alerts and signs of life as a Django application."""

from django.apps import AppConfig


class HeartbeatConfig(AppConfig):
    """What runs on a schedule, and what people should know of."""

    name = "heartbeat"

    def ready(self) -> None:
        """Start the trail."""
        from agenthub.core.audit import track  # noqa: PLC0415 - models can't be imported before apps are ready
        from heartbeat.models import Component, Job  # noqa: PLC0415

        track(Component, without=Component.FINDINGS)
        # Headers of calls may hold secrets.
        track(Job, without=(*Job.FINDINGS, "parameters", "ping_id"))
