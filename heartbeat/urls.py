"""The management API of alerts, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path

from heartbeat.api.alerts import AlertAcknowledgeView, AlertResolveView, AlertsView

urlpatterns: list[URLPattern | URLResolver] = [
    path("alerts", AlertsView.as_view(), name="alerts"),
    path("alerts/<str:alert_id>/acknowledge", AlertAcknowledgeView.as_view(), name="alert-acknowledge"),
    path("alerts/<str:alert_id>/resolve", AlertResolveView.as_view(), name="alert-resolve"),
]
