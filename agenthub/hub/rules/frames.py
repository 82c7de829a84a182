"""What clients send: read, bounded and checked, before anybody acts on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

FRAME_BYTES = 64 * 1024
PIECE_BYTES = 16 * 1024
LOG_BYTES = 4 * 1024
MOST_DEPTH = 16
LARGEST_NUMBER = 2**63 - 1

CLIENT_TYPES = frozenset(
    {
        "HELLO",
        "HEARTBEAT",
        "CHAT",
        "CHAT_STREAM",
        "CHAT_STREAM_END",
        "SYSTEM_LOG",
        "ACK",
        "CHECKPOINT",
        "TASK",
        "CANCEL",
        "SUBSCRIBE",
        "READ",
        "AUTH_REQUEST",
        "AUTH_RESPONSE",
    }
)
SERVER_TYPES = frozenset(
    {
        "WELCOME",
        "HEARTBEAT_ACK",
        "PRESENCE",
        "RECONNECT",
        "GAP",
        "ERROR",
        "EVENT",
        "AUTH_STATUS_UPDATE",
        "BUTLER_AGENT_MESSAGE",
    }
)
NEED_LOCAL_ID = frozenset({"CHAT", "CHECKPOINT", "TASK", "AUTH_RESPONSE"})
TASK_STATES = frozenset(
    {"submitted", "working", "input_required", "auth_required", "completed", "failed", "canceled", "rejected"}
)
ENDED_TASKS = frozenset({"completed", "failed", "canceled", "rejected"})

_ENVELOPE = frozenset(
    {"v", "type", "id", "local_id", "seq", "epoch", "conversation_id", "sender_id", "sender_name", "sender_role"}
    | {"target_id", "stream_id", "idx", "reply_to", "task_id", "payload", "timestamp", "expires_at", "meta"}
    | {"status", "reason", "n", "state", "note"}
)
_NAME = re.compile(r"[!-~]{1,128}\Z")
_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z")


class FrameRefused(Exception):
    """A frame that will not be acted on. `code` is a word of the protocol's ERROR."""

    def __init__(
        self, code: str, message: str, *, local_id: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.local_id = local_id
        self.retry_after_ms = retry_after_ms


@dataclass(slots=True)
class Frame:
    """A frame of a client, of the right form. What it says of its sender has been dropped."""

    type: str
    body: dict[str, Any]
    v: int = 0
    local_id: str | None = None
    target_id: int | None = None
    conversation_id: int | None = None
    stream_id: str = ""
    idx: int | None = None
    reply_to: int | None = None
    task_id: str = ""
    payload: Any = None
    expires_at: datetime | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def frame_read(text: str) -> Frame:
    """The frame in a text message. Raises FrameRefused: bad_frame, too_big, unknown_type or forbidden_type."""
    if len(text) > FRAME_BYTES or (len(text) * 4 > FRAME_BYTES and len(text.encode("utf-8", "replace")) > FRAME_BYTES):
        raise FrameRefused("too_big", f"The frame is larger than {FRAME_BYTES} bytes.", local_id=_local_id_within(text))
    try:
        body = orjson.loads(text)
    except (ValueError, RecursionError) as problem:
        raise FrameRefused("bad_frame", f"The frame is not JSON: {problem}.") from None
    if not isinstance(body, dict):
        raise FrameRefused("bad_frame", "The frame is not a JSON object.")
    if _too_deep(body, MOST_DEPTH):
        raise FrameRefused("bad_frame", f"The frame is nested deeper than {MOST_DEPTH}.")
    kind = body.get("type")
    if not isinstance(kind, str) or not _TYPE.match(kind):
        raise FrameRefused("bad_frame", "The frame has no type; types are words such as CHAT.")
    local_id = _name(body, "local_id", 64)
    try:
        return _frame(kind, body, local_id)
    except FrameRefused as problem:
        problem.local_id = local_id
        raise


def _frame(kind: str, body: dict[str, Any], local_id: str | None) -> Frame:
    if kind in SERVER_TYPES:
        raise FrameRefused("forbidden_type", f"{kind} frames come from the hub alone.")
    if kind not in CLIENT_TYPES and not kind.startswith("X_"):
        raise FrameRefused("unknown_type", f"There is no frame {kind} in this version.")
    version = body.get("v", 0)
    if type(version) is not int:
        raise FrameRefused("bad_frame", "v must be a number.")
    meta = body.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise FrameRefused("bad_frame", "meta must be an object.")
    return Frame(
        type=kind,
        body=body,
        v=version,
        local_id=local_id,
        target_id=_number(body, "target_id"),
        conversation_id=_number(body, "conversation_id"),
        stream_id=_name(body, "stream_id", 128) or "",
        idx=_number(body, "idx"),
        reply_to=_number(body, "reply_to"),
        task_id=_name(body, "task_id", 128) or "",
        payload=body.get("payload"),
        expires_at=_moment(body, "expires_at"),
        meta=_with_unknown(body, meta or {}) if version == 1 else (meta or {}),
    )


def _with_unknown(body: Mapping[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    """Fields that this version does not know travel on in meta."""
    unknown = body.keys() - _ENVELOPE
    return {name: body[name] for name in sorted(unknown)} | meta if unknown else meta


def _too_deep(value: Any, most: int) -> bool:
    """Whether arrays and objects are nested deeper than `most`."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _number(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)  # plain clients write ids as texts, too
    if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
        raise FrameRefused("bad_frame", f"{name} must be a whole number.")
    return value


def _name(body: Mapping[str, Any], name: str, most: int) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most or not _NAME.match(value):
        raise FrameRefused("bad_frame", f"{name} must be at most {most} printable ASCII characters without spaces.")
    return value


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FrameRefused("bad_frame", f"{name} must be a time with its zone, such as 2026-01-01T00:00:00Z.")
    return moment


def _local_id_within(text: str) -> str | None:
    """The local_id of a frame that is too large, so that its sender can tell which it was."""
    try:
        body = orjson.loads(text)
        return _name(body, "local_id", 64) if isinstance(body, dict) else None
    except (ValueError, RecursionError, FrameRefused):
        return None
