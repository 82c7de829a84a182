"""The admin of heartbeat; Django needs every class imported here."""

from heartbeat.admin import alert

__all__ = ["alert"]
