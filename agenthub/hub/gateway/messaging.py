"""Messages of clients: checked, stored, acknowledged."""

from functools import partial
from typing import Any

import orjson
from django.db import DatabaseError, InterfaceError

from agenthub.core.agents import checkpoint_sink
from agenthub.core.clock import utc_now
from agenthub.hub.gateway.answering import Answers
from agenthub.hub.gateway.batches import Away
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.errands import Errands
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.rules.envelope import payload_text
from agenthub.hub.rules.frames import ENDED_TASKS, TASK_STATES, Frame, FrameRefused
from agenthub.hub.rules.rights import Denied, Role, may_write, needs_thread
from agenthub.hub.services.messages import Draft, Saved


class Messages:
    """CHAT, TASK and CANCEL frames of one gateway."""

    def __init__(self, gateway: Gateway, answers: Answers, errands: Errands) -> None:
        self._gateway = gateway
        self._answers = answers
        self._errands = errands

    def message(self, connection: Connection, frame: Frame, *, looked: bool = False) -> None:
        """Store a CHAT, TASK or CANCEL for its target."""
        sender = connection.sender
        if frame.type == "CHAT" and not isinstance(frame.payload, str | dict):
            raise FrameRefused("bad_frame", "CHAT needs a payload, a text or an object.", local_id=frame.local_id)
        if frame.type == "CANCEL" and not frame.task_id:
            raise FrameRefused("bad_frame", "CANCEL needs the task_id that it is about.", local_id=frame.local_id)
        if frame.target_id is None:
            raise FrameRefused("bad_frame", f"{frame.type} needs a target_id.", local_id=frame.local_id)
        if frame.target_id == 0:
            raise FrameRefused(
                "forbidden_type", f"{frame.type} goes to one target, not to all.", local_id=frame.local_id
            )
        cards = self._gateway.cards
        denied = may_write(sender, frame.target_id, cards)
        if denied is not None and not cards.name(frame.target_id) and not looked:
            self._look_for(connection, frame)
            return
        if denied is not None:
            raise FrameRefused(denied.code, denied.message, local_id=frame.local_id)
        draft = Draft(
            sender=sender,
            type=frame.type,
            target_id=frame.target_id,
            payload=payload_text(frame.payload),
            local_id=frame.local_id,
            thread_id=frame.conversation_id or None,
            stream_id=frame.stream_id,
            reply_to=frame.reply_to,
            task_id=frame.task_id,
            extra=_extra(frame),
            expires_at=frame.expires_at,
            needs_thread=needs_thread(sender, frame.target_id, cards),
            needs_own_task=frame.type == "CANCEL" and sender.role is Role.MEMBER,
        )
        if frame.expires_at is not None and frame.expires_at <= utc_now():
            raise FrameRefused("expired", "The message had run out before it came.", local_id=frame.local_id)
        if frame.stream_id and sender.role in (Role.AGENT, Role.BUTLER):
            self._gateway.streams_of(sender).chat(frame.stream_id)
        connection.unhandled += 1
        self._gateway.submit(draft, partial(self._stored, connection, draft))

    def task(self, connection: Connection, frame: Frame) -> None:
        """Note how a task stands, and tell whoever gave it."""
        status = frame.body.get("status")
        if not frame.task_id or status not in TASK_STATES:
            raise FrameRefused(
                "bad_frame",
                f"TASK needs a task_id and a status: {', '.join(sorted(TASK_STATES))}.",
                local_id=frame.local_id,
            )
        if status in ENDED_TASKS:
            close = partial(checkpoint_sink().close_task, str(connection.sender.id), frame.task_id, str(status))
            self._errands.aside(connection, frame, close, lambda _: None)
        if frame.target_id:
            self.message(connection, frame)
        else:
            self._answers.acknowledge(connection, frame.local_id, None)

    def _look_for(self, connection: Connection, frame: Frame) -> None:
        """Whom this process does not know may have come a moment ago, in another one."""

        async def look() -> None:
            try:
                await self._gateway.refresh_if_changed()
                self.message(connection, frame, looked=True)
            except FrameRefused as problem:
                self._answers.refuse(connection, problem)
            except (DatabaseError, InterfaceError):
                self._answers.away(connection, frame.local_id)
            finally:
                connection.done()

        connection.unhandled += 1
        self._errands.start(look())

    def _stored(self, connection: Connection, draft: Draft, outcome: Saved | Denied | Away) -> None:
        connection.done()
        if isinstance(outcome, Away):
            self._answers.away(connection, draft.local_id)
        elif isinstance(outcome, Denied):
            self._answers.refuse(connection, FrameRefused(outcome.code, outcome.message, local_id=draft.local_id))
        else:
            more: dict[str, Any] = {"dup": outcome.dup, "target_online": self._gateway.is_online(draft.target_id)}
            if outcome.envelope.thread_id is not None:
                more["conversation_id"] = outcome.envelope.thread_id
            self._answers.acknowledge(connection, draft.local_id, outcome.envelope.id, **more)


def _extra(frame: Frame) -> str:
    """What else the frame carries to its target, as JSON."""
    extra: dict[str, Any] = {}
    if frame.type == "TASK":
        extra["status"] = frame.body.get("status")
    if frame.type == "CANCEL" and isinstance(reason := frame.body.get("reason"), str):
        extra["reason"] = reason[:1000]
    if frame.meta:
        extra["meta"] = frame.meta
    return orjson.dumps(extra).decode() if extra else ""
