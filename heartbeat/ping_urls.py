"""Check-ins, below /ping/."""

from django.urls import URLPattern, URLResolver, path

from heartbeat.views import ping

urlpatterns: list[URLPattern | URLResolver] = [
    path("<uuid:ping_id>", ping, name="ping"),
    path("<uuid:ping_id>/<str:word>", ping, name="ping-word"),
]
