"""The probes that orchestrators and people ask: alive, and ready for traffic."""

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from agenthub.core.bridge import in_thread
from agenthub.core.clock import monotonic_seconds
from agenthub.core.version import VERSION

log = logging.getLogger(__name__)

_started_at = monotonic_seconds()


async def alive(request: HttpRequest) -> JsonResponse:
    """That this process runs its loop. Asks nothing of anyone, so it also answers while the database is away."""
    uptime_seconds = round(monotonic_seconds() - _started_at, 3)
    return JsonResponse({"status": "ok", "version": VERSION, "uptime_seconds": uptime_seconds})


async def ready(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve: 200, or 503 with the part that can't."""
    parts = {"database": await in_thread(_database_answers)}
    good = all(parts.values())
    answer = {"status": "ready" if good else "unavailable", **{name: _word(ok) for name, ok in parts.items()}}
    return JsonResponse(answer, status=200 if good else 503)


def _word(ok: bool) -> str:
    return "ok" if ok else "unavailable"


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as problem:
        log.warning("database_unavailable", extra={"why": str(problem)})
        return False
    return True
