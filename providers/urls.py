"""The management API of the provider side, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path

from providers.api.backends import (
    BackendClearView,
    BackendDiscoverView,
    BackendsView,
    BackendTestView,
    BackendView,
)
from providers.api.pools import PoolsView, PoolView
from providers.api.stats import CooldownView, DailyView, HourlyView, TotalView
from providers.api.transfer import BackendsExportView, BackendsImportView

urlpatterns: list[URLPattern | URLResolver] = [
    path("backends", BackendsView.as_view(), name="backends"),
    path("backends/export", BackendsExportView.as_view(), name="backends-export"),
    path("backends/import", BackendsImportView.as_view(), name="backends-import"),
    path("backends/<str:backend_id>", BackendView.as_view(), name="backend"),
    path("backends/<str:backend_id>/test", BackendTestView.as_view(), name="backend-test"),
    path("backends/<str:backend_id>/discover", BackendDiscoverView.as_view(), name="backend-discover"),
    path("backends/<str:backend_id>/clear-cooldown", BackendClearView.as_view(), name="backend-clear-cooldown"),
    path("pools", PoolsView.as_view(), name="pools"),
    path("pools/<str:name>", PoolView.as_view(), name="pool"),
    path("stats/total", TotalView.as_view(), name="stats-total"),
    path("stats/hourly", HourlyView.as_view(), name="stats-hourly"),
    path("stats/daily", DailyView.as_view(), name="stats-daily"),
    path("stats/cooldown", CooldownView.as_view(), name="stats-cooldown"),
]
