"""Addresses of this part."""

from django.urls import URLPattern, URLResolver, path

from agenthub.overview import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("dashboard", views.dashboard, name="dashboard"),
    path("dashboard/sse", views.stream, name="dashboard-sse"),
    path("dashboard/series", views.series, name="dashboard-series"),
]
