"""Streams of text to people: relayed as they come, by those who may write to them."""

import asyncio
from collections.abc import Callable
from functools import partial

from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.errands import Errands
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.rules.frames import PIECE_BYTES, Frame, FrameRefused
from agenthub.hub.rules.rights import may_write, needs_thread
from agenthub.hub.rules.streams import Piece, StreamClosed
from agenthub.hub.services.threads import has_spoken


class Streaming:
    """CHAT_STREAM and CHAT_STREAM_END frames of one gateway."""

    def __init__(self, gateway: Gateway, errands: Errands) -> None:
        self._gateway = gateway
        self._errands = errands
        self._loop = asyncio.get_running_loop()

    def piece(self, connection: Connection, frame: Frame) -> None:
        """Relay a piece."""
        target, payload = self._target(connection, frame), frame.payload
        if not isinstance(payload, str):
            raise FrameRefused("bad_frame", "The payload of a piece is a text.")
        if len(payload.encode()) > PIECE_BYTES:
            raise FrameRefused("too_big", f"A piece is a text of at most {PIECE_BYTES} bytes.")
        try:
            piece = self._gateway.streams_of(connection.sender).piece(
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
        if target != self._gateway.cards.butler:  # which reads the whole answer, at its end
            self._when_allowed(connection, frame, target, partial(self._relay, connection, frame, target, piece))

    def _relay(self, connection: Connection, frame: Frame, target: int, piece: Piece) -> None:
        sender, gateway = connection.sender, self._gateway
        if not gateway.streams_of(sender).is_open(frame.stream_id):
            return  # its whole text has gone out while the permission was looked up
        passed = {
            "type": "CHAT_STREAM",
            "target_id": target,
            "stream_id": frame.stream_id,
            "idx": piece.idx,
            "payload": frame.payload,
        }
        if piece.gap:
            passed["gap"] = True
        if frame.conversation_id:
            passed["conversation_id"] = frame.conversation_id
        gateway.piece(target, gateway.stamped(sender, passed))

    def end(self, connection: Connection, frame: Frame) -> None:
        """End a stream; the text of one without its CHAT is kept."""
        sender, gateway, target = connection.sender, self._gateway, self._target(connection, frame)
        left = gateway.streams_of(sender).end(frame.stream_id)
        if left is not None:
            gateway.synthesize(sender, frame.stream_id, left, reason="end")
        elif target != gateway.cards.butler:
            # After the CHAT of the stream, which may be on its way to the disk.
            tell = partial(gateway.stream_end, sender, frame.stream_id, target, {})
            self._when_allowed(connection, frame, target, partial(gateway.after_messages, tell))

    def _target(self, connection: Connection, frame: Frame) -> int:
        cards = self._gateway.cards
        if not frame.stream_id or frame.target_id is None:
            raise FrameRefused("bad_frame", f"{frame.type} needs a stream_id and a target_id.")
        if frame.target_id in cards.agents:
            raise FrameRefused("forbidden_type", "Streams go to people; agents read whole messages.")
        denied = may_write(connection.sender, frame.target_id, cards)
        if denied is not None:
            raise FrameRefused(denied.code, denied.message)
        return frame.target_id

    def _when_allowed(self, connection: Connection, frame: Frame, target: int, then: Callable[[], None]) -> None:
        """Go on at once where the person is known to have spoken to this agent, as nearly always; else look it up. What
        comes while it is looked up waits behind it."""
        sender, spoken = connection.sender, self._gateway.spoken
        known = (sender.id, target) in spoken or not needs_thread(sender, target, self._gateway.cards)
        if known and not connection.is_busy_aside:
            then()
            return

        def answered(has: bool) -> None:
            if not has:
                raise FrameRefused("forbidden_type", f"{target} has not written to you, and you may not write first.")
            self._gateway.note_spoken(sender.id, target)
            then()

        look = (lambda: True) if known else partial(has_spoken, owner_id=target, peer_id=sender.id)
        self._errands.aside(connection, frame, look, answered)
