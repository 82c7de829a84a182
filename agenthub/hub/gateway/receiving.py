"""What the gateway does with each frame that a client sends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson
from django.db import DatabaseError, InterfaceError

from agenthub.core.agents import checkpoint_sink
from agenthub.core.bridge import in_thread
from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict, NotFound, Refused
from agenthub.hub.gateway.batches import Away
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.gateway import RETRY_MS, Gateway
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import frame_text, moment_text, payload_text
from agenthub.hub.rules.frames import (
    ENDED_TASKS,
    LOG_BYTES,
    NEED_LOCAL_ID,
    PIECE_BYTES,
    TASK_STATES,
    Frame,
    FrameRefused,
    frame_read,
)
from agenthub.hub.rules.limits import bucket_for, bytes_bucket
from agenthub.hub.rules.rate import Patience
from agenthub.hub.rules.rights import Denied, Role, may_send, may_write, needs_thread
from agenthub.hub.rules.streams import StreamClosed
from agenthub.hub.rules.topics import allowed_topics
from agenthub.hub.rules.window import NeverSent
from agenthub.hub.services.approvals import approval_answer
from agenthub.hub.services.logs import Report
from agenthub.hub.services.messages import Draft, Saved
from agenthub.hub.services.threads import thread_read

logger = logging.getLogger(__name__)

LEVELS = frozenset({"INFO", "WARNING", "ERROR", "SUCCESS"})


class Receiver:
    """Acts on the frames of connections of one gateway. Nothing here waits: what needs the database is handed on."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[[Connection, Frame], None]] = {
            "HEARTBEAT": self._heartbeat,
            "ACK": self._ack,
            "CHAT": self._message,
            "TASK": self._task,
            "CANCEL": self._message,
            "CHAT_STREAM": self._piece,
            "CHAT_STREAM_END": self._end,
            "SYSTEM_LOG": self._log,
            "CHECKPOINT": self._checkpoint,
            "SUBSCRIBE": self._subscribe,
            "READ": self._read,
            "AUTH_RESPONSE": self._auth_response,
            "AUTH_REQUEST": self._relayed,
        }

    def take(self, connection: Connection, text: str | None) -> None:
        """Act on one message of a client; None for a binary one."""
        now = self._loop.time()
        connection.heard_at = now
        try:
            if text is None:
                raise FrameRefused("bad_frame", "Frames are text messages, not binary ones.")
            self._limit(connection, "frames", now)
            frame = frame_read(text)
            if frame.type == "HELLO":
                raise FrameRefused("bad_frame", "HELLO is the first frame of a connection or none.")
            self._allow(connection, frame, now, len(text))
            self._handlers.get(frame.type, self._relayed)(connection, frame)
        except FrameRefused as problem:
            self._refuse(connection, problem, now)

    def _allow(self, connection: Connection, frame: Frame, now: float, size: int) -> None:
        denied = may_send(connection.sender, frame.type)
        if denied is not None:
            raise FrameRefused(denied.code, denied.message, local_id=frame.local_id)
        if not connection.legacy and frame.local_id is None and frame.type in NEED_LOCAL_ID:
            raise FrameRefused("bad_frame", f"{frame.type} needs a local_id, so that it may be sent again.")
        self._limit(connection, frame.type, now, local_id=frame.local_id)
        if frame.type == "CHAT_STREAM":
            self._limit(connection, "stream bytes", now, amount=size)

    def _limit(
        self, connection: Connection, kind: str, now: float, *, amount: float = 1.0, local_id: str | None = None
    ) -> None:
        bucket = connection.buckets.get(kind)
        if bucket is None:
            made = bytes_bucket() if kind == "stream bytes" else bucket_for(kind, person=connection.sender.is_person)
            if made is None:
                return
            bucket = connection.buckets[kind] = made
        wait = bucket.take(now, amount)
        if wait:
            raise FrameRefused(
                "rate_limited",
                f"Too many {kind} frames; the next is taken in {wait:.2f} s.",
                local_id=local_id,
                retry_after_ms=max(1, int(wait * 1000)),
            )

    def _refuse(self, connection: Connection, problem: FrameRefused, now: float) -> None:
        if connection.legacy:
            self._note(connection, problem)
        else:
            connection.error(
                problem.code, problem.message, local_id=problem.local_id, retry_after_ms=problem.retry_after_ms
            )
        if problem.code in ("bad_frame", "too_big"):
            connection.bad = connection.bad or Patience()
            if connection.bad.ends(now):
                connection.close(Close.BAD_FRAMES)
        elif problem.code == "rate_limited":
            connection.floods = connection.floods or Patience(most=1_000 if connection.legacy else 3, spaced=1.0)
            if connection.floods.ends(now):
                connection.close(Close.RATE_LIMIT)

    def _note(self, connection: Connection, problem: FrameRefused) -> None:
        """A plain client is told nothing that it would not understand: the people who look after it are."""
        self._limit_notes(connection, problem.code, problem.message)

    def _limit_notes(self, connection: Connection, code: str, message: str) -> None:
        now = self._loop.time()
        bucket = connection.buckets.setdefault("notes", bucket_for("notes", person=False) or bytes_bucket())
        if connection.sender.role is Role.AGENT and not bucket.take(now):
            self._gateway.report(
                Report(
                    agent_id=connection.sender.id,
                    level="WARNING",
                    content=f"A frame was refused ({code}): {message}"[:LOG_BYTES],
                    created_at=utc_now(),
                )
            )

    # Heartbeats and acknowledgements

    def _heartbeat(self, connection: Connection, frame: Frame) -> None:
        body = frame.body
        acked = body.get("acked_seq")
        if isinstance(acked, int) and not isinstance(acked, bool) and acked >= 0:
            self._acked(connection, acked)
        status, load, task = body.get("status"), body.get("load"), frame.task_id
        connection.beat = (
            "busy" if status == "busy" else "idle",
            float(load) if isinstance(load, int | float) and not isinstance(load, bool) and 0 <= load <= 1e6 else None,
            task,
        )
        connection.beaten = True
        if connection.legacy:
            return
        answer = {
            "v": 1,
            "type": "HEARTBEAT_ACK",
            "head_seq": connection.window.head,
            "server_time": moment_text(utc_now()),
        }
        connection.control(frame_text(answer))

    def _ack(self, connection: Connection, frame: Frame) -> None:
        seq = frame.body.get("seq")
        if type(seq) is not int or seq < 0:
            raise FrameRefused("bad_frame", "ACK needs seq, the number of the last message received.")
        self._acked(connection, seq)

    def _acked(self, connection: Connection, seq: int) -> None:
        try:
            if connection.acked(seq, now=self._loop.time()):
                self._gateway.note_acked(connection)
        except NeverSent:
            connection.close(Close.SEQUENCE_MISMATCH)

    # Messages

    def _message(self, connection: Connection, frame: Frame, *, looked: bool = False) -> None:
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
        if frame.stream_id and sender.role in (Role.AGENT, Role.BUTLER):
            self._gateway.streams_of(sender).chat(frame.stream_id)
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
        connection.unhandled += 1
        self._gateway.submit(draft, partial(self._stored, connection, draft))

    def _look_for(self, connection: Connection, frame: Frame) -> None:
        """Whom this process does not know may have come a moment ago, in another one."""

        async def look() -> None:
            try:
                await self._gateway.refresh_if_changed()
                self._message(connection, frame, looked=True)
            except FrameRefused as problem:
                self._refuse(connection, problem, self._loop.time())
            except (DatabaseError, InterfaceError):
                self._tell(connection, frame, "internal", "The database is away; send it again.", RETRY_MS)
            finally:
                connection.done()

        connection.unhandled += 1
        self._start(look())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="hub frame")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _stored(self, connection: Connection, draft: Draft, outcome: Saved | Denied | Away) -> None:
        connection.done()
        if isinstance(outcome, Away):
            if connection.legacy:
                self._limit_notes(connection, "internal", "A message could not be stored; the database is away.")
            else:
                connection.error(
                    "internal",
                    "The message could not be stored at this moment; send it again.",
                    local_id=draft.local_id,
                    retry_after_ms=RETRY_MS,
                )
        elif isinstance(outcome, Denied):
            self._refuse(
                connection, FrameRefused(outcome.code, outcome.message, local_id=draft.local_id), self._loop.time()
            )
        elif not connection.legacy:
            self._acknowledge(connection, draft, outcome)

    def _acknowledge(self, connection: Connection, draft: Draft, saved: Saved) -> None:
        online = self._gateway.is_online(draft.target_id)
        ack = {
            "v": 1,
            "type": "ACK",
            "local_id": draft.local_id,
            "id": saved.envelope.id,
            "dup": saved.dup,
            "target_online": online,
        }
        if saved.envelope.thread_id is not None:
            ack["conversation_id"] = saved.envelope.thread_id
        connection.control(frame_text(ack))

    def _task(self, connection: Connection, frame: Frame) -> None:
        status = frame.body.get("status")
        if not frame.task_id or status not in TASK_STATES:
            raise FrameRefused(
                "bad_frame",
                f"TASK needs a task_id and a status: {', '.join(sorted(TASK_STATES))}.",
                local_id=frame.local_id,
            )
        if status in ENDED_TASKS:
            close = partial(checkpoint_sink().close_task, str(connection.sender.id), frame.task_id, str(status))
            self._aside(connection, frame, close, lambda _: None)
        if frame.target_id:
            self._message(connection, frame)
        elif not connection.legacy:
            connection.control(
                frame_text({"v": 1, "type": "ACK", "local_id": frame.local_id, "id": None, "dup": False})
            )

    # Streams

    def _piece(self, connection: Connection, frame: Frame) -> None:
        sender, target = connection.sender, self._stream_target(connection, frame)
        payload = frame.payload if isinstance(frame.payload, str) else None
        if payload is None or len(payload.encode()) > PIECE_BYTES:
            raise FrameRefused(
                "too_big" if payload else "bad_frame", f"A piece is a text of at most {PIECE_BYTES} bytes."
            )
        try:
            piece = self._gateway.streams_of(sender).piece(
                frame.stream_id,
                payload,
                target_id=target,
                idx=frame.idx,
                now=self._loop.time(),
                thread_id=frame.conversation_id,
                reply_to=frame.reply_to,
            )
        except StreamClosed:
            raise FrameRefused("stream_closed", f"The stream {frame.stream_id} has ended.") from None
        if target == self._gateway.cards.butler:
            return  # the Butler reads the whole answer, at its end
        passed = {
            "type": "CHAT_STREAM",
            "target_id": target,
            "stream_id": frame.stream_id,
            "idx": piece.idx,
            "payload": payload,
        }
        if piece.gap:
            passed["gap"] = True
        if frame.conversation_id:
            passed["conversation_id"] = frame.conversation_id
        self._gateway.piece(target, self._gateway.stamped(sender, passed))

    def _end(self, connection: Connection, frame: Frame) -> None:
        sender, target = connection.sender, self._stream_target(connection, frame)
        gateway = self._gateway
        left = gateway.streams_of(sender).end(frame.stream_id)
        if left is not None:
            gateway.synthesize(sender, frame.stream_id, left, reason="end")
        elif target != gateway.cards.butler:
            # After the CHAT of the stream, which may be on its way to the disk.
            gateway.after_messages(lambda: gateway.stream_end(sender, frame.stream_id, target, {}))

    def _stream_target(self, connection: Connection, frame: Frame) -> int:
        cards = self._gateway.cards
        if not frame.stream_id or frame.target_id is None:
            raise FrameRefused("bad_frame", f"{frame.type} needs a stream_id and a target_id.")
        if frame.target_id == cards.butler:
            return frame.target_id
        if frame.target_id in cards.agents:
            raise FrameRefused("forbidden_type", "Streams go to people; agents read whole messages.")
        denied = may_write(connection.sender, frame.target_id, cards)
        if denied is not None:
            raise FrameRefused(denied.code, denied.message)
        return frame.target_id

    # Reports, notices, news

    def _log(self, connection: Connection, frame: Frame) -> None:
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

    def _relayed(self, connection: Connection, frame: Frame) -> None:
        """X_* frames, and questions of the Butler: to whom they are for, if they are there; not stored."""
        gateway, sender = self._gateway, connection.sender
        passed = {"type": frame.type, "target_id": frame.target_id or 0, "payload": frame.payload}
        if frame.stream_id:
            passed["stream_id"] = frame.stream_id
        if frame.type == "AUTH_REQUEST":
            text = frame_text(gateway.stamped(sender, passed))
            gateway.to_approvers(text)
            return
        text = frame_text(gateway.stamped(sender, passed))
        if frame.target_id:
            denied = may_write(sender, frame.target_id, gateway.cards)
            if denied is not None:
                raise FrameRefused(denied.code, denied.message, local_id=frame.local_id)
            gateway.relay(frame.target_id, text, legacy=text)
        else:
            gateway.to_viewers(text, legacy=text, audience=sender.id if sender.role is Role.AGENT else "everybody")

    def _subscribe(self, connection: Connection, frame: Frame) -> None:
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

    # What needs the database and is no message

    def _checkpoint(self, connection: Connection, frame: Frame) -> None:
        n, state, note = frame.body.get("n", 0), frame.body.get("state"), frame.body.get("note") or ""
        if not frame.task_id or type(n) is not int or not isinstance(state, dict) or not isinstance(note, str):
            raise FrameRefused(
                "bad_frame",
                "CHECKPOINT needs a task_id, a whole number n, and a state, which is an object.",
                local_id=frame.local_id,
            )
        save = partial(checkpoint_sink().save, str(connection.sender.id), frame.task_id, n, state, note[:500])

        def saved(checkpoint_id: str) -> None:
            ack = {"v": 1, "type": "ACK", "local_id": frame.local_id, "id": checkpoint_id, "dup": False}
            connection.control(frame_text(ack))

        self._aside(connection, frame, save, saved)

    def _read(self, connection: Connection, frame: Frame) -> None:
        thread_id, message_id = frame.conversation_id, frame.body.get("id")
        if thread_id is None or type(message_id) is not int or message_id < 0:
            raise FrameRefused("bad_frame", "READ needs a conversation_id and the id of the last message read.")
        person = connection.sender.id

        def noted(news: bool) -> None:
            if news:
                text = frame_text({"v": 1, "type": "READ", "conversation_id": thread_id, "id": message_id})
                self._gateway.relay(person, text, legacy=None)

        read = partial(thread_read, thread_id=thread_id, owner_id=person, message_id=message_id)
        self._aside(connection, frame, read, noted)

    def _auth_response(self, connection: Connection, frame: Frame) -> None:
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        action_id, approved = payload.get("action_id"), payload.get("approved")
        if not isinstance(action_id, str) or not isinstance(approved, bool):
            raise FrameRefused(
                "bad_frame", "AUTH_RESPONSE needs action_id and approved, true or false.", local_id=frame.local_id
            )
        answer = partial(approval_answer, action_id=action_id[:64], approver_id=connection.sender.id, approved=approved)

        def answered(_: Any) -> None:
            if not connection.legacy:
                connection.control(
                    frame_text({"v": 1, "type": "ACK", "local_id": frame.local_id, "id": action_id, "dup": False})
                )
            self._gateway.approval_answered(action_id, approved=approved, approver=connection.sender)

        self._aside(connection, frame, answer, answered)

    def _aside(
        self, connection: Connection, frame: Frame, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        """Do something with the database on another thread, one after another for each connection."""
        connection.unhandled += 1
        before = connection.aside

        async def run() -> None:
            if before is not None:
                await asyncio.wait([before])
            try:
                then(await in_thread(work))
            except (Conflict, NotFound) as problem:
                self._tell(connection, frame, "conflict", problem.message)
            except Refused as problem:
                self._tell(connection, frame, "too_big" if problem.status == 413 else "bad_frame", problem.message)
            except (DatabaseError, InterfaceError):
                self._tell(connection, frame, "internal", "The database is away; send it again.", RETRY_MS)
            except Exception:  # the edge of this frame: its sender may send it again
                logger.exception("frame_failed", extra={"type": frame.type})
                self._tell(connection, frame, "internal", "The hub could not do this; send it again.", RETRY_MS)
            finally:
                connection.done()

        connection.aside = self._start(run())

    def _tell(
        self, connection: Connection, frame: Frame, code: str, message: str, retry_after_ms: int | None = None
    ) -> None:
        if connection.legacy:
            self._limit_notes(connection, code, message)
        else:
            connection.error(code, message, local_id=frame.local_id, retry_after_ms=retry_after_ms)


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
