"""The admin of the provider side; Django needs every class imported here."""

from providers.admin import backend, cooldown, pool, route, usage

__all__ = ["backend", "cooldown", "pool", "route", "usage"]
