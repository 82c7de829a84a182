"""The rows of heartbeat; Django needs them all imported here."""

from heartbeat.models.alert import Alert

__all__ = ["Alert"]
