"""Reports, notices and news: shown to people who may see them."""

from agenthub.core.clock import utc_now
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.rules.envelope import frame_text, payload_text
from agenthub.hub.rules.frames import LOG_BYTES, Frame, FrameRefused
from agenthub.hub.rules.rights import Role, may_write
from agenthub.hub.rules.topics import allowed_topics
from agenthub.hub.services.logs import Report

LEVELS = frozenset({"INFO", "WARNING", "ERROR", "SUCCESS"})


class Reports:
    """SYSTEM_LOG, SUBSCRIBE and X_* frames of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def log(self, connection: Connection, frame: Frame) -> None:
        """Store a report, and show it."""
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        level = frame.body.get("level", payload.get("level", "INFO"))
        content = frame.body.get("content", payload.get("content", frame.payload))
        fields = frame.body.get("fields", payload.get("fields"))
        if level not in LEVELS:
            raise FrameRefused("bad_frame", f"level must be one of {', '.join(sorted(LEVELS))}.")
        if not isinstance(content, str) or len(content.encode()) > LOG_BYTES:
            raise FrameRefused("bad_frame", f"SYSTEM_LOG needs a content, a text of at most {LOG_BYTES} bytes.")
        now = utc_now()
        kept = payload_text(fields) if isinstance(fields, dict) else ""
        content = content.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL can't hold it
        shown = self._gateway.stamped(
            connection.sender, {"type": "SYSTEM_LOG", "target_id": 0, "payload": {"level": level, "content": content}}
        )
        self._gateway.report(
            Report(agent_id=connection.sender.id, level=level, content=content, fields=kept, created_at=now),
            shown=shown,
        )

    def relayed(self, connection: Connection, frame: Frame) -> None:
        """X_* frames, and questions of the Butler: to whom they are for, if they are there; not stored."""
        gateway, sender = self._gateway, connection.sender
        passed = {"type": frame.type, "target_id": frame.target_id or 0, "payload": frame.payload}
        if frame.stream_id:
            passed["stream_id"] = frame.stream_id
        text = frame_text(gateway.stamped(sender, passed))
        if frame.type == "AUTH_REQUEST":
            gateway.to_approvers(text)
        elif frame.target_id:
            denied = may_write(sender, frame.target_id, gateway.cards)
            if denied is not None:
                raise FrameRefused(denied.code, denied.message, local_id=frame.local_id)
            gateway.relay(frame.target_id, text, legacy=text)
        else:
            gateway.to_viewers(text, legacy=text, audience=sender.id if sender.role is Role.AGENT else "everybody")

    def subscribe(self, connection: Connection, frame: Frame) -> None:
        """Remember what news a person wants."""
        topics = frame.body.get("topics")
        if not isinstance(topics, list) or len(topics) > 100 or not all(isinstance(each, str) for each in topics):
            raise FrameRefused("bad_frame", "SUBSCRIBE needs topics, a list of at most 100 names.")
        allowed = allowed_topics(
            topics, lambda agent_id: self._gateway.may_see(connection.sender, agent_id), connection.sender
        )
        refused = sorted(set(topics) - allowed)
        connection.topics = allowed
        if refused:
            connection.error(
                "forbidden_type", f"These topics are not there, or not for you: {', '.join(refused)[:500]}."
            )
        connection.control(
            frame_text({"v": 1, "type": "EVENT", "topic": "subscribed", "data": {"topics": sorted(allowed)}})
        )
