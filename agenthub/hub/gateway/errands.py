"""What frames ask of the database beside messages: off the event loop, one after another for each connection."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError

from agenthub.core.agents import checkpoint_sink
from agenthub.core.bridge import in_thread
from agenthub.core.errors import Refused
from agenthub.hub.gateway.answering import Answers
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.rules.envelope import frame_text
from agenthub.hub.rules.frames import Frame, FrameRefused
from agenthub.hub.services.approvals import approval_answer
from agenthub.hub.services.threads import thread_read

logger = logging.getLogger(__name__)

_CODES = {404: "conflict", 409: "conflict", 413: "too_big"}
"""The protocol's words for the statuses of refusals."""


class Errands:
    """Errands of one gateway."""

    def __init__(self, gateway: Gateway, answers: Answers) -> None:
        self._gateway = gateway
        self._answers = answers
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the reading of frames; it is held on to until its end."""
        task = asyncio.get_running_loop().create_task(work, name="hub frame")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def aside(self, connection: Connection, frame: Frame, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something with the database on another thread, one after another for each connection."""
        connection.unhandled += 1
        before = connection.aside if connection.is_busy_aside else None

        async def run() -> None:
            if before is not None:
                await asyncio.wait([before])
            try:
                then(await in_thread(work))
            except FrameRefused as problem:
                self._answers.refuse(connection, problem)
            except Refused as problem:
                code = _CODES.get(problem.status, "bad_frame")
                self._answers.refuse(connection, FrameRefused(code, problem.message, local_id=frame.local_id))
            except (DatabaseError, InterfaceError):
                self._answers.away(connection, frame.local_id)
            except Exception:  # the edge of this frame: its sender may send it again
                logger.exception("frame_failed", extra={"type": frame.type})
                self._answers.away(connection, frame.local_id)
            finally:
                connection.done()

        connection.aside = self.start(run())

    def checkpoint(self, connection: Connection, frame: Frame) -> None:
        """Keep the state of a task."""
        n, state, note = frame.body.get("n", 0), frame.body.get("state"), frame.body.get("note") or ""
        if not frame.task_id or type(n) is not int or not isinstance(state, dict) or not isinstance(note, str):
            raise FrameRefused(
                "bad_frame",
                "CHECKPOINT needs a task_id, a whole number n, and a state, which is an object.",
                local_id=frame.local_id,
            )
        save = partial(checkpoint_sink().save, str(connection.sender.id), frame.task_id, n, state, note[:500])
        self.aside(connection, frame, save, partial(self._answers.acknowledge, connection, frame.local_id))

    def read(self, connection: Connection, frame: Frame) -> None:
        """Note how far a person has read, and tell their other connections."""
        thread_id, message_id = frame.conversation_id, frame.body.get("id")
        if thread_id is None or type(message_id) is not int or message_id < 0:
            raise FrameRefused("bad_frame", "READ needs a conversation_id and the id of the last message read.")
        person = connection.sender.id

        def noted(news: bool) -> None:
            if news:
                text = frame_text({"v": 1, "type": "READ", "conversation_id": thread_id, "id": message_id})
                self._gateway.relay(person, text, legacy=None)

        read = partial(thread_read, thread_id=thread_id, owner_id=person, message_id=message_id)
        self.aside(connection, frame, read, noted)

    def auth_response(self, connection: Connection, frame: Frame) -> None:
        """Answer a question of the Butler."""
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        action_id, approved = payload.get("action_id"), payload.get("approved")
        if not isinstance(action_id, str) or not isinstance(approved, bool):
            raise FrameRefused(
                "bad_frame", "AUTH_RESPONSE needs action_id and approved, true or false.", local_id=frame.local_id
            )
        answer = partial(approval_answer, action_id=action_id[:64], approver_id=connection.sender.id, approved=approved)

        def answered(_: Any) -> None:
            self._answers.acknowledge(connection, frame.local_id, action_id)
            self._gateway.approval_answered(action_id, approved=approved, approver=connection.sender)

        self.aside(connection, frame, answer, answered)
