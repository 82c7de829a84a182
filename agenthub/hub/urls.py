"""The API of agents, below /api/users/."""

from django.urls import URLPattern, URLResolver, path

from agenthub.hub.api import AgentsView, AgentTokenView, AgentView

urlpatterns: list[URLPattern | URLResolver] = [
    path("agents", AgentsView.as_view(), name="agents"),
    path("agents/<str:agent>", AgentView.as_view(), name="agent"),
    path("agents/<str:agent>/token", AgentTokenView.as_view(), name="agent-token"),
]
