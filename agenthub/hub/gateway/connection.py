"""One WebSocket: what goes out of it, in order and bounded, and how far its other side has received."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from agenthub.hub.gateway.batches import Away
from agenthub.hub.rules.closing import REASONS, Close
from agenthub.hub.rules.envelope import Envelope, error_text, frame_text
from agenthub.hub.rules.rate import Bucket, Patience
from agenthub.hub.rules.rights import Sender
from agenthub.hub.rules.window import PAGE, Window
from agenthub.hub.services.inbox import Page

logger = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

QUEUE_BYTES = 1024 * 1024
"""What may wait for one reader beside its window; a reader that lets more pile up is cut off."""

SLOW_BYTES = 128 * 1024
"""From there on pieces of streams are merged, then dropped: the CHAT at their end has the whole text."""

MERGED_BYTES = 32 * 1024
PULL_RETRY_SECONDS = 1.0
MOST_UNHANDLED = 64
"""Frames of one client that may be worked on at the same time."""

MOST_EARLY = 100
"""Frames that are held for a plain client until it is known to be one."""


class Inbox(Protocol):
    """Where a connection reads the messages to it again."""

    async def page(self, participant_id: int, after: int, most: int) -> Page:
        """The next messages. Raises Away."""

    def may_give(self, envelope: Envelope) -> bool:
        """Whether a message is given out; one that has run out is not, and its sender is told."""


@dataclass(slots=True)
class _Out:
    """A frame that waits to be sent."""

    text: str
    seq: int = 0  # of a message of the inbox
    piece: dict[str, Any] | None = None  # a piece of a stream, which may still grow


class Connection:
    """The state of one connection. Everything of it happens on the event loop."""

    __slots__ = (
        "_abort",
        "_closing",
        "_early",
        "_held",
        "_inbox",
        "_live",
        "_out",
        "_out_bytes",
        "_pump_task",
        "_send",
        "address",
        "aside",
        "bad",
        "beat",
        "beaten",
        "buckets",
        "epoch",
        "floods",
        "handled",
        "has_tasks",
        "heard_at",
        "legacy",
        "number",
        "placed",
        "sender",
        "session",
        "session_hash",
        "slow_seconds",
        "token",
        "token_ends_at",
        "told_presence",
        "topics",
        "unhandled",
        "window",
        "write_began_at",
    )

    def __init__(self, *, sender: Sender, send: Send, abort: Callable[[], None], inbox: Inbox, session: str) -> None:
        self.sender = sender
        self.session = session
        self.legacy = True
        self.placed = False  # its row says that it is the one of its agent
        self.told_presence = False
        self.has_tasks = False
        self.address = ""
        self.epoch = ""
        self.token: bytes = b""  # the hash of an agent's token
        self.token_ends_at: float | None = None
        self.session_hash = ""
        self.window = Window()
        self.heard_at = 0.0
        self.beat: tuple[str, float | None, str] = ("idle", None, "")
        self.beaten = False  # a heartbeat has come that is not saved yet
        self.topics: frozenset[str] = frozenset()
        self.buckets: dict[str, Bucket] = {}
        self.bad: Patience | None = None
        self.floods: Patience | None = None
        self.unhandled = 0
        self.slow_seconds = 0.0
        self.number = 0  # of those that asked to be the one of their agent in this process
        self.handled: asyncio.Event | None = None
        self.aside: asyncio.Task[None] | None = None
        self.write_began_at = 0.0
        self._send = send
        self._abort = abort
        self._inbox = inbox
        self._live = False
        self._early: list[str] = []
        self._out: deque[_Out] = deque()
        self._out_bytes = 0
        self._held: list[tuple[int, str]] = []
        self._pump_task: asyncio.Task[None] | None = None
        self._closing: Close | int | None = None

    @property
    def closing(self) -> bool:
        """Whether it is being ended from this side."""
        return self._closing is not None

    # What goes out

    def begin(self, after: int, *, head: int, now: float) -> None:
        """From now on give out the messages after a number of the inbox."""
        self.window.starts(after, head=max(head, self.window.head), now=now)
        self._live = True
        early, self._early = self._early, []
        for text in early if self.legacy else ():
            self.control(text)
        self._kick()

    def control(self, text: str) -> None:
        """Send a frame that is in no inbox."""
        if self._closing is not None:
            return
        if not self._live:
            # Nothing goes before WELCOME: what was before it, a client of version 1 reads by REST. A plain one is
            # known to be one a moment later.
            if self.legacy and len(self._early) < MOST_EARLY:
                self._early.append(text)
            return
        if self._out_bytes > QUEUE_BYTES:
            self.close(Close.SLOW_CONSUMER)
            return
        self._put(_Out(text))

    def first(self, text: str) -> None:
        """Send what may go before all else: WELCOME, or why there is none."""
        self._put(_Out(text))

    def error(self, code: str, message: str, *, local_id: str | None = None, retry_after_ms: int | None = None) -> None:
        """Send an ERROR."""
        self.control(error_text(code, message, local_id=local_id, retry_after_ms=retry_after_ms))

    def message(self, envelope: Envelope, *, now: float) -> None:
        """A message has come into the inbox: send it if it is the next one and there is room, else look later."""
        window = self.window
        window.head = max(window.head, envelope.seq)
        if not self._live or self._closing is not None:
            return
        if self._pulls or envelope.seq != window.sent + 1 or not window.is_open:
            self._kick()
            return
        self._give(envelope, now)
        self._release()

    @property
    def _pulls(self) -> bool:
        """Whether the store is, or will be, read for it: then nothing may go past that."""
        return self.window.is_behind and self.window.sent + 1 < self.window.head

    def rung(self, head: int) -> None:
        """Another process says how far the inbox is."""
        self.window.head = max(self.window.head, head)
        if self._live and self._closing is None and self.window.is_behind:
            self._kick()

    def piece(self, frame: dict[str, Any]) -> None:
        """Send a piece of a stream: to a slow reader in fewer, larger ones, and in the end not at all."""
        if self._closing is not None or not self._live:
            return
        if self._out_bytes > SLOW_BYTES:
            self._merge(frame)
            return
        self._put(_Out(frame_text(frame), piece=frame))

    def _merge(self, frame: dict[str, Any]) -> None:
        for waiting in reversed(self._out):
            piece = waiting.piece
            if piece is None or piece["stream_id"] != frame["stream_id"] or piece["sender_id"] != frame["sender_id"]:
                continue
            if _size(waiting.text) < MERGED_BYTES:
                piece["payload"] += frame["payload"]
                self._out_bytes -= _size(waiting.text)
                waiting.text = frame_text(piece)
                self._out_bytes += _size(waiting.text)
            return

    def stream_end(self, text: str) -> None:
        """Send the end of a stream, after the messages that came before it."""
        if self.window.is_behind and self._live:
            self._held.append((self.window.head, text))
        else:
            self.control(text)

    def close(self, code: Close | int) -> None:
        """End it, after what is on its way if its reader keeps up."""
        if self._closing is not None:
            return
        self._closing = code
        if self.handled is not None:
            self.handled.set()
        if code == Close.SLOW_CONSUMER:
            self._out.clear()
            self._out_bytes = 0
        self._kick()

    async def finished(self) -> None:
        """Wait until its close was sent, or could not be."""
        task = self._pump_task
        if task is not None:
            await asyncio.wait([task])

    def ended(self) -> None:
        """It is over: nothing goes out any more."""
        self._closing = self._closing or Close.SERVER_ERROR
        self._out.clear()
        self._out_bytes = 0
        self._held.clear()
        if self.handled is not None:
            self.handled.set()
        if self._pump_task is not None:
            self._pump_task.cancel()

    def abort(self) -> None:
        """Cut it off without a word: its other side does not read."""
        self._closing = self._closing or Close.SLOW_CONSUMER
        if self.handled is not None:
            self.handled.set()
        self._abort()

    def _put(self, out: _Out) -> None:
        self._out.append(out)
        self._out_bytes += _size(out.text)
        self._kick()

    def _give(self, envelope: Envelope, now: float) -> None:
        """Queue a message of the inbox, which is the next one."""
        if not self._inbox.may_give(envelope):
            self.window.skips(envelope.seq)
            self._gap(envelope.seq, envelope.seq, "expired")
            return
        text = envelope.legacy() if self.legacy else envelope.current(self.epoch)
        if text is None:  # a plain client does not know it
            self.window.skips(envelope.seq)
            return
        self.window.sends(envelope.seq, _size(text), now=now)
        self._put(_Out(text, seq=envelope.seq))

    def _gap(self, first: int, last: int, reason: str) -> None:
        if not self.legacy:
            self._put(_Out(frame_text({"v": 1, "type": "GAP", "from": first, "to": last, "reason": reason})))

    def _release(self) -> None:
        """Send the ends of streams that have waited for messages."""
        while self._held and self._held[0][0] <= self.window.sent:
            self.control(self._held.pop(0)[1])

    # What its other side says

    def acked(self, seq: int, *, now: float) -> bool:
        """All up to a number were received. Raises NeverSent."""
        news = self.window.acks(seq, now=now)
        if news and self.window.is_behind:
            self._kick()
        return news

    @property
    def is_busy_aside(self) -> bool:
        """Whether something that it sent is with the database, beside messages."""
        return self.aside is not None and not self.aside.done()

    async def breathe(self) -> None:
        """Wait while it sends too fast, too much of what it sent is being worked on, or too many answers wait for it to
        read them: nothing more is read from it meanwhile, and so it has to wait, too."""
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        while not self.closing and (self.unhandled >= MOST_UNHANDLED or self._out_bytes > SLOW_BYTES):
            self.handled = asyncio.Event()
            await self.handled.wait()
            self.handled = None

    def done(self) -> None:
        """One frame that was being worked on is done."""
        self.unhandled -= 1
        if self.handled is not None:
            self.handled.set()

    # The pump

    def _kick(self) -> None:
        if self._pump_task is None:
            self._pump_task = asyncio.get_running_loop().create_task(self._pump(), name="hub pump")

    async def _pump(self) -> None:
        """Send what there is to send; there is no such task while there is nothing."""
        try:
            while True:
                await self._drain()
                if self._closing is not None:
                    await self._say_close(self._closing)
                    return
                if not (self._live and self.window.is_behind and self.window.is_open):
                    return
                await self._pull()
        except OSError as problem:
            # The other side is gone; the reader of this connection hears of it too.
            logger.debug("send_failed", extra={"reason": str(problem)})
        except Exception:  # the edge of this connection: it ends, and the agent comes again
            if self._closing is None:  # else it was closed by both sides at once
                logger.exception("pump_failed")
            self.abort()
        finally:
            self._pump_task = None
            if self._out and self._closing is None:
                self._kick()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._out:
            out = self._out.popleft()
            self._out_bytes -= _size(out.text)
            if self.handled is not None:
                self.handled.set()
            self.write_began_at = loop.time()
            await self._send({"type": "websocket.send", "text": out.text})
            self.write_began_at = 0.0
            if out.seq and self.legacy:
                # A plain client acknowledges nothing: what was written counts as received.
                self.window.acks(out.seq, now=loop.time())

    async def _say_close(self, code: int) -> None:
        reason = REASONS[code] if isinstance(code, Close) else ""
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def _pull(self) -> None:
        """Read the next messages of the inbox and queue them."""
        window, after = self.window, self.window.sent
        try:
            page = await self._inbox.page(self.sender.id, after, min(PAGE, window.room))
        except Away:
            # Nothing is lost: it is read when the database is back.
            await asyncio.sleep(PULL_RETRY_SECONDS)
            return
        if self._closing is not None or window.sent != after:
            return
        now = asyncio.get_running_loop().time()
        window.head = max(window.head, page.head)
        if page.trimmed > after:
            self._gap(after + 1, page.trimmed, "retention")
            window.skips(page.trimmed)
        for envelope in page.envelopes:
            if envelope.seq > window.sent + 1:
                # Rows that are gone were deleted by hand: told, never passed over.
                self._gap(window.sent + 1, envelope.seq - 1, "deleted")
                window.skips(envelope.seq - 1)
            if not window.is_open:
                break
            self._give(envelope, now)
        if not page.envelopes and window.sent < page.head:
            self._gap(window.sent + 1, page.head, "deleted")
            window.skips(page.head)
        self._release()


def _size(text: str) -> int:
    """How many bytes a frame has on the wire."""
    return len(text) if text.isascii() else len(text.encode())
