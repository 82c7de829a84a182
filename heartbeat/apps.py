"""Jobs and signs of life as a Django application."""

from django.apps import AppConfig


class HeartbeatConfig(AppConfig):
    """What runs on a schedule."""

    name = "heartbeat"
