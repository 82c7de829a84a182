"""What clients send: read, bounded, and handed to whoever acts on it."""

import asyncio
from collections.abc import Callable

from agenthub.core.clock import utc_now
from agenthub.hub.gateway.answering import Answers
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.errands import Errands
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.gateway.messaging import Messages
from agenthub.hub.gateway.reporting import Reports
from agenthub.hub.gateway.streaming import Streaming
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import frame_text, moment_text
from agenthub.hub.rules.frames import NEED_LOCAL_ID, Frame, FrameRefused, frame_read
from agenthub.hub.rules.limits import bucket_for
from agenthub.hub.rules.rights import may_send
from agenthub.hub.rules.window import NeverSent


class Receiver:
    """Acts on the frames of connections of one gateway. Nothing here waits: what needs the database is handed on."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._answers = Answers(gateway)
        errands, reports = Errands(gateway, self._answers), Reports(gateway)
        messages, streaming = Messages(gateway, self._answers, errands), Streaming(gateway, errands)
        self._other = reports.relayed
        self._handlers: dict[str, Callable[[Connection, Frame], None]] = {
            "HEARTBEAT": self._heartbeat,
            "ACK": self._ack,
            "CHAT": messages.message,
            "TASK": messages.task,
            "CANCEL": messages.message,
            "CHAT_STREAM": streaming.piece,
            "CHAT_STREAM_END": streaming.end,
            "SYSTEM_LOG": reports.log,
            "SUBSCRIBE": reports.subscribe,
            "CHECKPOINT": errands.checkpoint,
            "READ": errands.read,
            "AUTH_RESPONSE": errands.auth_response,
        }

    def take(self, connection: Connection, text: str | None) -> None:
        """Act on one message of a client; None for a binary one."""
        now = self._loop.time()
        connection.heard_at = now
        # Whoever sends more than any client needs is read more slowly.
        connection.slow_seconds = self._wait(connection, "frames", now)
        try:
            if text is None:
                raise FrameRefused("bad_frame", "Frames are text messages, not binary ones.")
            frame = frame_read(text)
            if frame.type == "HELLO":
                raise FrameRefused("bad_frame", "HELLO is the first frame of a connection or none.")
            self._allow(connection, frame, now, len(text))
            self._handlers.get(frame.type, self._other)(connection, frame)
        except FrameRefused as problem:
            self._answers.refuse(connection, problem)

    def _allow(self, connection: Connection, frame: Frame, now: float, size: int) -> None:
        denied = may_send(connection.sender, frame.type)
        if denied is not None:
            raise FrameRefused(denied.code, denied.message, local_id=frame.local_id)
        if not connection.legacy and frame.local_id is None and frame.type in NEED_LOCAL_ID:
            raise FrameRefused("bad_frame", f"{frame.type} needs a local_id, so that it may be sent again.")
        wait = self._wait(connection, frame.type, now)
        if not wait and frame.type == "CHAT_STREAM":
            wait = self._wait(connection, "stream bytes", now, size)
        if wait:
            raise FrameRefused(
                "rate_limited",
                f"Too many {frame.type} frames; the next is taken in {wait:.2f} s.",
                local_id=frame.local_id,
                retry_after_ms=max(1, int(wait * 1000)),
            )

    def _wait(self, connection: Connection, kind: str, now: float, amount: float = 1.0) -> float:
        """How long one more is too early; 0 when it is not, and is counted."""
        bucket = connection.buckets.get(kind)
        if bucket is None:
            bucket = bucket_for(kind, person=connection.sender.is_person)
            if bucket is None:
                return 0.0
            connection.buckets[kind] = bucket
        return bucket.take(now, amount)

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
