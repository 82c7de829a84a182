"""The admin of the provider side; Django needs every class imported here."""

from providers.admin import backend, cooldown, pool, usage

__all__ = ["backend", "cooldown", "pool", "usage"]
