"""Signing in, below /api/."""

from django.urls import URLPattern, URLResolver, path

from agenthub.hub.signin_api import PingView, SignInView, TicketView

urlpatterns: list[URLPattern | URLResolver] = [
    path("ping", PingView.as_view(), name="api-ping"),
    path("auth/login", SignInView.as_view(), name="sign-in"),
    path("ws/ticket", TicketView.as_view(), name="ws-ticket"),
]
