"""The rows of the provider side; Django needs them all imported here."""

from providers.models.backend import Backend, BackendHealth, ModelMapping
from providers.models.cooldown import CooldownEvent
from providers.models.pool import Pool
from providers.models.route import ModelRoute
from providers.models.usage import DailyBackend, DailyStats, HourlyUsage, JournalPosition, UsageRecord

__all__ = [
    "Backend",
    "BackendHealth",
    "CooldownEvent",
    "DailyBackend",
    "DailyStats",
    "HourlyUsage",
    "JournalPosition",
    "ModelMapping",
    "ModelRoute",
    "Pool",
    "UsageRecord",
]
