"""The probes that orchestrators and people ask: alive, and ready for traffic."""

import asyncio
import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse

from agenthub.core import versions
from agenthub.core.bridge import in_thread
from agenthub.core.clock import monotonic_seconds
from agenthub.core.version import VERSION
from proxy import runtime

log = logging.getLogger(__name__)

LONGEST_SECONDS = 3.0
"""A part that takes longer to say that it is there counts as away."""

_started_at = monotonic_seconds()


async def alive(request: HttpRequest) -> JsonResponse:
    """That this process runs its loop. Asks nothing of anyone, so it also answers while the database is away."""
    uptime_seconds = round(monotonic_seconds() - _started_at, 3)
    return JsonResponse({"status": "ok", "version": VERSION, "uptime_seconds": uptime_seconds})


async def ready(request: HttpRequest) -> JsonResponse:
    """Whether all that this process works with is there: 200, or 503 with the part that is not.

    The proxy serves from memory while the database is away, so a load balancer does better to ask /health.
    """
    parts = {"routing": _routing(), "journal": _journal(), "database": await _answers(_ask_database)}
    if settings.ENVIRONMENT.redis_url:
        parts["redis"] = await _answers(_ask_redis)
        parts["shared_state"] = _shared_state()
    good = all(word == "ok" for word in parts.values())
    return JsonResponse({"status": "ok" if good else "unavailable", **parts}, status=200 if good else 503)


def _routing() -> str:
    proxy = runtime.current()
    if proxy is None:
        return "unavailable"
    return "stopping" if proxy.draining else "ok"


def _shared_state() -> str:
    """`local` while each process goes on with its share of the limits."""
    proxy = runtime.current()
    if proxy is None:
        return "unavailable"
    return "ok" if proxy.sharing == "shared" else "local"


def _journal() -> str:
    proxy = runtime.current()
    if proxy is None:
        return "unavailable"
    return "full" if proxy.journal.full else "ok"


async def _answers(ask: Callable[[], object]) -> str:
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await in_thread(ask)
    except (DatabaseError, InterfaceError, OSError) as problem:
        log.warning("part_unavailable", extra={"part": ask.__name__.removeprefix("_ask_"), "why": str(problem)})
        return "unavailable"
    return "ok"


def _ask_database() -> None:
    versions.read_all()


def _ask_redis() -> None:
    import redis  # noqa: PLC0415 - an embedded hub's web process has no need of it

    try:
        with redis.Redis.from_url(settings.ENVIRONMENT.redis_url or "", socket_timeout=LONGEST_SECONDS) as client:
            client.ping()
    except redis.RedisError as problem:
        raise OSError(str(problem)) from None
