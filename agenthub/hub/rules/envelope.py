"""What the hub sends: frames as texts, in the words of the protocol's two versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

LEGACY_TYPES = frozenset(
    {"SYSTEM_LOG", "CHAT", "CHAT_STREAM", "CHAT_STREAM_END", "AUTH_REQUEST", "AUTH_RESPONSE", "AUTH_STATUS_UPDATE"}
    | {"BUTLER_AGENT_MESSAGE"}
)
"""Frames that a plain EchoCenter client knows; X_* come beside them."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A stored message, as it is sent. `payload` and `extra` are JSON as it was stored."""

    type: str
    id: int
    seq: int
    sender_id: int
    sender_name: str
    sender_role: str
    target_id: int
    payload: str
    created_at: datetime
    thread_id: int | None = None
    local_id: str | None = None
    stream_id: str = ""
    reply_to: int | None = None
    task_id: str = ""
    extra: str = ""
    expires_at: datetime | None = None
    synthesized: bool = False

    def current(self, epoch: str, *, seq: bool = True) -> str:
        """The frame of version 1; without its number for echoes, which are in nobody's inbox."""
        frame: dict[str, Any] = {"v": 1, "type": self.type, "id": self.id}
        if self.local_id is not None:
            frame["local_id"] = self.local_id
        if seq:
            frame |= {"seq": self.seq, "epoch": epoch}
        frame |= self._common()
        if self.reply_to is not None:
            frame["reply_to"] = self.reply_to
        if self.task_id:
            frame["task_id"] = self.task_id
        if self.expires_at is not None:
            frame["expires_at"] = moment_text(self.expires_at)
        if self.synthesized:
            frame["synthesized"] = True
        if self.extra:
            frame |= orjson.loads(self.extra)
        return frame_text(frame)

    def legacy(self, *, seq: bool = True) -> str | None:
        """The frame of a plain EchoCenter client; None for one that it does not know."""
        if not is_legacy(self.type):
            return None
        frame: dict[str, Any] = {"type": self.type, "id": self.id}
        if seq:
            frame["seq"] = self.seq
        if self.local_id is not None:
            frame["local_id"] = self.local_id
        return frame_text(frame | self._common())

    def _common(self) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "sender_id": self.sender_id,
            "sender_name": self.sender_name,
            "sender_role": self.sender_role,
            "target_id": self.target_id,
            "payload": orjson.Fragment(self.payload),
            "timestamp": moment_text(self.created_at),
        }
        if self.thread_id is not None:
            frame["conversation_id"] = self.thread_id
        if self.stream_id:
            frame["stream_id"] = self.stream_id
        return frame


def is_legacy(kind: str) -> bool:
    """Whether a plain EchoCenter client knows a type of frame."""
    return kind in LEGACY_TYPES or kind.startswith("X_")


def moment_text(moment: datetime) -> str:
    """A time as frames carry it, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame_text(frame: Mapping[str, Any]) -> str:
    """A frame as the text that is sent."""
    return orjson.dumps(frame).decode()


def payload_text(payload: Any) -> str:
    """A payload as it is stored."""
    return orjson.dumps(payload).decode()


def error_text(code: str, message: str, *, local_id: str | None = None, retry_after_ms: int | None = None) -> str:
    """An ERROR frame."""
    frame: dict[str, Any] = {"v": 1, "type": "ERROR", "code": code, "message": message}
    if local_id is not None:
        frame["local_id"] = local_id
    if retry_after_ms is not None:
        frame["retry_after_ms"] = retry_after_ms
    return frame_text(frame)
