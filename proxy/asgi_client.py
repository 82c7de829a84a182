"""A client behind an ASGI server.

Sending from a protocol callback: `send` of an ASGI server is a coroutine, but it suspends only while the client's
socket is full. So it is stepped by hand; where it does suspend, the rest waits in line and the upstream is paused. That
saves a task, a future and two turns of the event loop for every piece of a stream. Waiting for a hang-up is stepped
in the same way, since a task for it would cost every request.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from agenthub.core.errors import RequestTimeout
from proxy.client import BODY_SILENCE_SECONDS, Client, ClientGone, Headers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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


class AsgiClient(Client):
    """One ASGI request's receive and send."""

    __slots__ = ("_congested", "_line", "_receive", "_send", "_sending", "_watching")

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__(asyncio.get_running_loop())
        self._receive = receive
        self._send = send
        self._line: deque[Message] = deque()
        self._sending: Coroutine[Any, Any, Any] | None = None
        self._watching: Coroutine[Any, Any, Any] | None = None
        self._congested = False

    @property
    def congested(self) -> bool:
        """See `Client.congested`."""
        return self._congested

    async def read_body(self, most_bytes: int) -> bytes | None:
        """See `Client.read_body`."""
        message = await self._receive()
        pieces, size = [message.get("body", b"")], len(message.get("body", b""))
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

    async def body_pieces(self) -> AsyncIterator[bytes]:
        """See `Client.body_pieces`."""
        more = True
        while more:
            try:
                async with asyncio.timeout(BODY_SILENCE_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout(f"No more of the request body came for {BODY_SILENCE_SECONDS} s.") from None
            if message["type"] != "http.request":
                self.gone = True
                raise ClientGone
            yield message.get("body", b"")
            more = message.get("more_body", False)

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """See `Client.watch`."""
        super().watch(task)
        self._watching = self._wait_for_disconnect()
        if _step(self._watching, self._watch_on):
            self.hang_up()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _watch_on(self, _: "asyncio.Future[Any]") -> None:
        if self._watching is not None and _step(self._watching, self._watch_on):
            self._watching = None
            self.hang_up()

    def start(self, status: int, headers: Headers) -> None:
        """See `Client.start`."""
        if not self.started:
            self.started = True
            self._push({"type": "http.response.start", "status": status, "headers": headers})

    def push_body(self, data: bytes) -> None:
        """See `Client.push_body`."""
        self._push({"type": "http.response.body", "body": data, "more_body": True})

    def _push(self, message: Message) -> None:
        self._spoke()
        if self._congested:
            self._line.append(message)
            return
        sending: Any = self._send(message)
        if not _step(sending, self._send_on):
            self._sending = sending
            self._congested = True

    def _send_on(self, _: "asyncio.Future[Any]") -> None:
        if self._sending is None or not _step(self._sending, self._send_on):
            return
        self._sending = None
        self._congested = False
        while self._line and not self._congested:
            self._push(self._line.popleft())
        if not self._congested:
            self.writable()

    async def finish(self, data: bytes = b"") -> None:
        """See `Client.finish`."""
        await self.drain()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def close(self) -> None:
        """See `Client.close`."""
        super().close()
        for coroutine in (self._watching, self._sending):
            if coroutine is not None:
                coroutine.close()
        self._watching = self._sending = None
        self._line.clear()
