"""Which part answers which address; the POSTs below /v1 never come here (see asgi.py)."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from agenthub.overview import health, metrics, reference

admin.autodiscover()

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("health", health.alive, name="health"),
    path("ready", health.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("agenthub.overview.urls")),
    path("admin/", admin.site.urls),
    path("api/admin/", include("agenthub.core.urls")),
    path("api/admin/", include("providers.urls")),
    path("api/admin/", include("proxy.management_urls")),
    path("api/admin/", include("heartbeat.urls")),
    path("ping/", include("heartbeat.ping_urls")),
    path("api/admin/", include("storagecustodian.urls")),
    path("api/", include("agenthub.hub.urls")),
    path("api/agent/", include("storagecustodian.agent_urls")),
    path("api/schema", reference.schema, name="schema"),
    path("api/docs", reference.docs, name="docs"),
    path("v1/", include("proxy.urls")),
]
