"""A message as an agent's handler gets it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """A CHAT or TASK to this agent."""

    type: str
    id: int
    seq: int
    sender_id: int
    sender_name: str
    sender_role: str  # ADMIN, MEMBER, BUTLER or AGENT
    payload: Any
    epoch: str = ""
    conversation_id: int | None = None
    reply_to: int | None = None
    task_id: str = ""
    expires_at: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_from_person(self) -> bool:
        """Whether a person asks: they read answers as they are written."""
        return self.sender_role not in ("BUTLER", "AGENT")

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.payload, str):
            return self.payload
        if isinstance(self.payload, Mapping) and isinstance(self.payload.get("command"), str):
            return str(self.payload["command"])
        return ""

    @property
    def words(self) -> list[str]:
        """The command and its arguments; those with spaces are quoted."""
        if isinstance(self.payload, Mapping) and isinstance(self.payload.get("args"), list):
            return [self.text, *map(str, self.payload["args"])]
        try:
            return shlex.split(self.text)
        except ValueError:  # a quote that is not closed
            return self.text.split()

    def is_over(self, now: datetime | None = None) -> bool:
        """Whether its time had run out."""
        if self.expires_at is None:
            return False
        return datetime.fromisoformat(self.expires_at) <= (now or datetime.now(UTC))


def message_of(frame: Mapping[str, Any]) -> Message:
    """The message in a frame."""
    return Message(
        type=frame["type"],
        id=frame["id"],
        seq=frame["seq"],
        sender_id=frame["sender_id"],
        sender_name=frame.get("sender_name", ""),
        sender_role=frame.get("sender_role", ""),
        payload=frame.get("payload"),
        epoch=frame.get("epoch", ""),
        conversation_id=frame.get("conversation_id"),
        reply_to=frame.get("reply_to"),
        task_id=frame.get("task_id", ""),
        expires_at=frame.get("expires_at"),
        meta=frame.get("meta", {}),
    )
