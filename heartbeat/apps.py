"""Jobs, alerts and signs of life as a Django application."""

from django.apps import AppConfig


class HeartbeatConfig(AppConfig):
    """What runs on a schedule, and what people should know of."""

    name = "heartbeat"
