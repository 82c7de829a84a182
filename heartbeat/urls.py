"""The management API of alerts, components and jobs, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path

from heartbeat.api.alerts import AlertAcknowledgeView, AlertResolveView, AlertsView
from heartbeat.api.components import ComponentBeatView, ComponentCheckView, ComponentsView, ComponentView
from heartbeat.api.jobs import JobRunNowView, JobRunsView, JobsStartView, JobsStopView, JobsView, JobView

urlpatterns: list[URLPattern | URLResolver] = [
    path("alerts", AlertsView.as_view(), name="alerts"),
    path("alerts/<str:alert_id>/acknowledge", AlertAcknowledgeView.as_view(), name="alert-acknowledge"),
    path("alerts/<str:alert_id>/resolve", AlertResolveView.as_view(), name="alert-resolve"),
    path("components", ComponentsView.as_view(), name="components"),
    path("components/<str:name>", ComponentView.as_view(), name="component"),
    path("components/<str:name>/beat", ComponentBeatView.as_view(), name="component-beat"),
    path("components/<str:name>/check", ComponentCheckView.as_view(), name="component-check"),
    path("jobs", JobsView.as_view(), name="jobs"),
    path("jobs/start-all", JobsStartView.as_view(), name="jobs-start"),
    path("jobs/stop-all", JobsStopView.as_view(), name="jobs-stop"),
    path("jobs/<str:key>", JobView.as_view(), name="job"),
    path("jobs/<str:key>/run", JobRunNowView.as_view(), name="job-run"),
    path("jobs/<str:key>/runs", JobRunsView.as_view(), name="job-runs"),
]
