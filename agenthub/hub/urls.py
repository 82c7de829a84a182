"""The API of the hub, below /api/."""

from django.urls import URLPattern, URLResolver, path

from agenthub.hub.api.agents import AgentsView, AgentTokenView, AgentView
from agenthub.hub.api.chat import (
    ApprovalView,
    ButlerAgentView,
    HistoryView,
    ThreadMessagesView,
    ThreadsView,
    ThreadView,
)
from agenthub.hub.api.people import PeopleView
from agenthub.hub.api.presence import AgentsStatusView, ButlerView, TestConnectionView
from agenthub.hub.api.reports import ReportsView
from agenthub.hub.api.signin import PingView, SignInView, TicketView

urlpatterns: list[URLPattern | URLResolver] = [
    path("ping", PingView.as_view(), name="api-ping"),
    path("auth/login", SignInView.as_view(), name="sign-in"),
    path("ws/ticket", TicketView.as_view(), name="ws-ticket"),
    path("messages", ReportsView.as_view(), name="reports"),
    path("users", PeopleView.as_view(), name="people"),
    path("users/butler", ButlerView.as_view(), name="butler"),
    path("users/agents", AgentsView.as_view(), name="agents"),
    path("users/agents/status", AgentsStatusView.as_view(), name="agents-status"),
    path("users/agents/test-connection", TestConnectionView.as_view(), name="agents-test-connection"),
    path("users/agents/<str:agent>", AgentView.as_view(), name="agent"),
    path("users/agents/<str:agent>/token", AgentTokenView.as_view(), name="agent-token"),
    path("chat/history/<str:peer>", HistoryView.as_view(), name="chat-history"),
    path("chat/threads", ThreadsView.as_view(), name="threads"),
    path("chat/threads/<str:thread>", ThreadView.as_view(), name="thread"),
    path("chat/threads/<str:thread>/messages", ThreadMessagesView.as_view(), name="thread-messages"),
    path("chat/butler-agent/<str:peer>", ButlerAgentView.as_view(), name="butler-agent"),
    path("chat/auth/response", ApprovalView.as_view(), name="approval-answer"),
]
