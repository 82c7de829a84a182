"""The admin of the hub of agents; Django needs all of it imported here."""

from agenthub.hub.admin import agent, approval, connection, conversation, report

__all__ = ["agent", "approval", "connection", "conversation", "report"]
