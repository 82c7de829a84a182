"""The jobs as tasks: each calls one service."""

from celery import shared_task

from agenthub.core.clock import utc_now
from agenthub.core.settings_store import runtime_settings
from providers.services import cooldowns, usage


@shared_task
def cooldowns_expire() -> int:
    """End cooldowns whose time has passed; how many did."""
    return cooldowns.cooldowns_expire(utc_now())


@shared_task
def usage_prune() -> int:
    """Delete per-request records past their retention; how many went."""
    return usage.usage_prune(now=utc_now(), days=runtime_settings().usage_retention_days)
