"""The client's side of one request: what it is sent, and whether it is still there.

Sending from a protocol callback: `send` of an ASGI server is a coroutine, but it suspends only while the client's
socket is full. So it is stepped by hand; where it does suspend, the rest waits in line and the upstream is paused. That
saves a task, a future and two turns of the event loop for every piece of a stream. Waiting for a hang-up is stepped
in the same way, since a task for it would cost every request.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from agenthub.core.errors import RequestTimeout
from proxy.wire.sse import KEEP_ALIVE_EVENT

BODY_SILENCE_SECONDS = 60

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client hung up."""


def _step(coroutine: Coroutine[Any, Any, Any], woken: Callable[["asyncio.Future[Any]"], None]) -> bool:
    """Run a coroutine until it is done (True) or waits for a future, whose end then calls `woken` (False)."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return True
    # What a task does with a future that is awaited inside it.
    waits_for._asyncio_future_blocking = False
    waits_for.add_done_callback(woken)
    return False


class Client:
    """One ASGI request's receive and send."""

    __slots__ = (
        "_drained",
        "_headers",
        "_keepalive",
        "_keepalive_seconds",
        "_line",
        "_loop",
        "_on_drained",
        "_receive",
        "_send",
        "_sending",
        "_sent_at",
        "_task",
        "_watching",
        "congested",
        "gone",
        "started",
    )

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._line: deque[Message] = deque()
        self._sending: Coroutine[Any, Any, Any] | None = None
        self._watching: Coroutine[Any, Any, Any] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._on_drained: Callable[[], None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._keepalive: asyncio.TimerHandle | None = None
        self._keepalive_seconds = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._sent_at = 0.0
        self.congested = False
        self.gone = False
        self.started = False

    async def body(self, most_bytes: int) -> bytes | None:
        """The whole request body; None if it is larger than `most_bytes`. Raises ClientGone, RequestTimeout."""
        message = await self._receive()
        first: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False):
            return first if len(first) <= most_bytes else None
        pieces, size = [first], len(first)
        while message["type"] == "http.request" and message.get("more_body", False):
            if size > most_bytes:
                return None
            try:
                async with asyncio.timeout(BODY_SILENCE_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout(f"No more of the request body came for {BODY_SILENCE_SECONDS} s.") from None
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        if message["type"] != "http.request":
            self.gone = True
            raise ClientGone
        return b"".join(pieces) if size <= most_bytes else None

    # Watching for a hang-up

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """Cancel `task` if the client hangs up before `close`."""
        self._task = task
        self._watching = self._wait_for_disconnect()
        if _step(self._watching, self._watch_on):
            self._leave()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _watch_on(self, _: "asyncio.Future[Any]") -> None:
        if self._watching is not None and _step(self._watching, self._watch_on):
            self._watching = None
            self._leave()

    def _leave(self) -> None:
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    # Sending

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send status and headers, unless a keep-alive comment had to do that already."""
        if not self.started:
            self.started = True
            self.push({"type": "http.response.start", "status": status, "headers": headers})

    def push_body(self, data: bytes) -> None:
        """Send a piece of the body, now or behind what waits."""
        self.push({"type": "http.response.body", "body": data, "more_body": True})

    def push(self, message: Message) -> None:
        """Send an ASGI message, now or behind what waits."""
        if self._keepalive is not None:
            self._sent_at = self._loop.time()
        if self.congested:
            self._line.append(message)
            return
        sending: Any = self._send(message)
        if not _step(sending, self._send_on):
            self._sending = sending
            self.congested = True

    def _send_on(self, _: "asyncio.Future[Any]") -> None:
        if self._sending is None or not _step(self._sending, self._send_on):
            return
        self._sending = None
        self.congested = False
        while self._line and not self.congested:
            self.push(self._line.popleft())
        if not self.congested:
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            if self._on_drained is not None:
                self._on_drained()

    def when_drained(self, callback: Callable[[], None] | None) -> None:
        """Whom to tell when a full socket has room again."""
        self._on_drained = callback

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece; the response is complete."""
        await self.drain()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def drain(self) -> None:
        """Wait until everything pushed has been handed to the server."""
        while self.congested:
            self._drained = self._loop.create_future()
            await self._drained

    # Keep-alive comments

    def keep_alive(self, seconds: float, headers: list[tuple[bytes, bytes]]) -> None:
        """From now on fill silences of `seconds` with a comment line; the first one commits a 200 with `headers`."""
        self._keepalive_seconds = seconds
        self._headers = headers
        self._sent_at = self._loop.time()
        self._keepalive = self._loop.call_later(seconds, self._fill_silence)

    def _fill_silence(self) -> None:
        silent = self._loop.time() - self._sent_at
        if silent >= self._keepalive_seconds - 0.001 and not self.congested:
            self.start(200, self._headers)
            self.push_body(KEEP_ALIVE_EVENT)
            silent = 0.0
        self._keepalive = self._loop.call_later(max(0.01, self._keepalive_seconds - silent), self._fill_silence)

    def close(self) -> None:
        """Stop watching and filling; what is still in line is dropped."""
        if self._keepalive is not None:
            self._keepalive.cancel()
            self._keepalive = None
        self._task = None
        self._on_drained = None
        for coroutine in (self._watching, self._sending):
            if coroutine is not None:
                coroutine.close()
        self._watching = self._sending = None
        self._line.clear()
