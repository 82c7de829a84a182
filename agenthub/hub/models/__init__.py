"""Django finds models here; each is imported from its own module."""

from agenthub.hub.models.agent import Agent, AgentToken
from agenthub.hub.models.approval import Approval
from agenthub.hub.models.log import AgentLog
from agenthub.hub.models.message import Message
from agenthub.hub.models.participant import HubState, Participant
from agenthub.hub.models.session import AgentSession, Ticket
from agenthub.hub.models.thread import Thread

__all__ = [
    "Agent",
    "AgentLog",
    "AgentSession",
    "AgentToken",
    "Approval",
    "HubState",
    "Message",
    "Participant",
    "Thread",
    "Ticket",
]
