"""The rows of heartbeat; Django needs them all imported here."""

from heartbeat.models.alert import Alert
from heartbeat.models.component import Component

__all__ = ["Alert", "Component"]
