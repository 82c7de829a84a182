"""The admin of the house itself; Django needs every class imported here."""

from agenthub.core.admin import audit, people, settings

__all__ = ["audit", "people", "settings"]
