"""The dashboard: the page, its stream, and the points of its charts."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from agenthub.core.bridge import in_thread
from agenthub.core.clock import monotonic_seconds, utc_now
from agenthub.core.errors import BadRequest, Refused
from agenthub.core.logs import current_request_id
from agenthub.core.version import VERSION
from agenthub.overview import ticks
from agenthub.overview.charts import usage_charts
from agenthub.overview.rules.series import SPANS
from agenthub.overview.texts import dashboard_texts
from agenthub.overview.watchers import Watcher, may_watch, still_welcome, watcher_of
from proxy.wire.errors import error_body

CHECK_SECONDS = 15.0
"""A stream ends at most so long after its watcher has lost the right to it."""

RECONNECT_MS = 1000


@require_GET
def dashboard(request: HttpRequest) -> HttpResponseBase:
    """The page; it is the admin's home too. People who are not signed in are sent to the sign-in page."""
    home: HttpResponseBase = admin.site.admin_view(admin.site.index)(request)
    return home


def home_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template of the home page needs; the theme calls it."""
    if not may_watch(request.user):
        return context
    config = {
        "stream": reverse("dashboard-sse"),
        "series": reverse("dashboard-series"),
        "signIn": reverse("admin:login"),
        "backend": reverse("admin:providers_backend_change", args=["BACKEND"]),
        "baseUrl": request.build_absolute_uri("/v1"),
        "texts": dashboard_texts(),
    }
    return {**context, "title": gettext("Dashboard"), "dashboard": config, "version": VERSION}


@require_GET
async def stream(request: HttpRequest) -> HttpResponseBase:
    """`/dashboard/sse`: an event at once, then one per tick, until the process drains."""
    try:
        watcher = await in_thread(watcher_of, request)
    except Refused as refused:
        return _refusal(refused)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingHttpResponse(_events(request, watcher), content_type="text/event-stream", headers=headers)


async def _events(request: HttpRequest, watcher: Watcher) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RECONNECT_MS
    checked_at = monotonic_seconds()
    async with aclosing(ticks.dashboard.watch()) as events:
        async for event in events:
            if monotonic_seconds() - checked_at > CHECK_SECONDS:
                if not await in_thread(still_welcome, request, watcher):
                    return
                checked_at = monotonic_seconds()
            yield event


@require_GET
def series(request: HttpRequest) -> HttpResponse:
    """`/dashboard/series?span=1h|24h|7d|30d`: the points of the charts, oldest first."""
    try:
        watcher_of(request)
        name = request.GET.get("span", "1h")
        if name not in SPANS:
            raise BadRequest(f"span must be one of {', '.join(SPANS)}, not {name[:32]}.", param="span")
    except Refused as refused:
        return _refusal(refused)
    return HttpResponse(
        usage_charts.points_json(name, utc_now()),
        content_type="application/json",
        headers={"cache-control": "no-store"},
    )


def _refusal(refused: Refused) -> HttpResponse:
    body = error_body(refused, request_id=current_request_id.get())
    return HttpResponse(body, status=refused.status, content_type="application/json")
