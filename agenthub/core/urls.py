"""The management API of the house itself, below /api/admin/."""

from django.urls import URLPattern, URLResolver, path

from agenthub.core.config_api import ConfigView, SettingView

urlpatterns: list[URLPattern | URLResolver] = [
    path("config", ConfigView.as_view(), name="config"),
    path("config/<str:key>", SettingView.as_view(), name="setting"),
]
