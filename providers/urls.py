"""The management API of the provider side, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path, register_converter
from django.urls.converters import PathConverter

from providers.api.backends import (
    BackendClearView,
    BackendDiscoverView,
    BackendsView,
    BackendTestView,
    BackendView,
)
from providers.api.pools import PoolsView, PoolView
from providers.api.routes import ModelRoutesView, ModelRouteView
from providers.api.stats import CooldownView, DailyView, HourlyView, TotalView
from providers.api.transfer import BackendsExportView, BackendsImportView


class ModelNameConverter(PathConverter):
    """All that follows, slashes and line ends too, so that whatever is no name is answered by the view."""

    regex = r"(?s:.+)"


register_converter(ModelNameConverter, "model_name")

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
    path("model-routes", ModelRoutesView.as_view(), name="model-routes"),
    path("model-routes/<model_name:name>", ModelRouteView.as_view(), name="model-route"),
    path("stats/total", TotalView.as_view(), name="stats-total"),
    path("stats/hourly", HourlyView.as_view(), name="stats-hourly"),
    path("stats/daily", DailyView.as_view(), name="stats-daily"),
    path("stats/cooldown", CooldownView.as_view(), name="stats-cooldown"),
]
