"""The admin of heartbeat; Django needs every class imported here."""

from heartbeat.admin import alert, component, job

__all__ = ["alert", "component", "job"]
