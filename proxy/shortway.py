"""The short way: the proxy's endpoints served in the callbacks of uvicorn's own protocol class.

Between a socket and the proxy ASGI needs a scope, an event, coroutines for receive and send, and two writes for an
answer. Here a request goes from the parser to its task, and an answer from the task to the socket, for a fraction of
that. It leans on uvicorn's insides, so it is kept to this file and to requests of the simplest kind; everything else,
also on the same connection, goes the usual way. AGENTHUB_SHORT_WAY=false turns it off.
"""

import asyncio
import logging
import termios
from array import array
from fcntl import ioctl
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from agenthub.core.clock import monotonic_seconds
from agenthub.core.errors import RequestTimeout
from proxy import runtime
from proxy.app import serve
from proxy.client import BODY_SILENCE_SECONDS, Client, ClientGone, Headers
from proxy.deadlines import Deadlines
from proxy.exchange import Exchange
from proxy.lastanswer import LastAnswerProtocol
from proxy.rules.endpoints import ENDPOINTS
from proxy.runtime import Runtime

logger = logging.getLogger(__name__)

_BY_URL = {path.encode(): endpoint for path, endpoint in ENDPOINTS.items() if not endpoint.form}


class ShortWayProtocol(LastAnswerProtocol):
    """uvicorn's protocol with the short way beside its own."""

    _short: "SocketClient | None" = None
    deadline = float("inf")  # when the idle connection is to be closed, see `overdue`

    def on_message_begin(self) -> None:
        """A request begins. Its ASGI scope is made only if it goes the usual way."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def _usual_way(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)  # the list that the scope holds
        super().on_headers_complete()

    def on_headers_complete(self) -> None:
        """Decide by the request's head which way it goes."""
        endpoint = _BY_URL.get(self.url)
        serving = runtime.current()
        if (
            endpoint is None
            or serving is None
            or self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or serving.cors_origins
            or self.parser.should_upgrade()
            or (self.cycle is not None and not self.cycle.response_complete)
        ):
            self._usual_way()
            return
        client = self._short = SocketClient(self, serving, keep_alive=self.parser.should_keep_alive())
        self.cycle = cast(Any, client)  # it answers to what uvicorn asks of a cycle
        task = self.loop.create_task(client.run(Exchange(serving, client, endpoint, self.headers)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        """An answer is out. uvicorn would start a timer and stop it at the next request; a look once a second does."""
        if self.pipeline or self._short is None or self._short is not cast(Any, self.cycle):
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.deadline = monotonic_seconds() + self.timeout_keep_alive
            self._short.idle_connections.watch(self)

    def overdue(self, now: float) -> None:
        """Nothing has come for the keep-alive time, unless a request is under way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.deadline = now + self.timeout_keep_alive
            return
        self._forget()
        if not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, also from under a request behind which another one waits already."""
        if self._short is not None and cast(Any, self.cycle) is not self._short and not self._short.response_complete:
            self._short.disconnected = True
            self._short.set()
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._short is not None:
            self._short.idle_connections.forget(self)

    def resume_writing(self) -> None:
        """The client's socket has room again."""
        super().resume_writing()
        if self._short is not None:
            self._short.writable()


class SocketClient(Client):
    """A client at the other end of one of uvicorn's sockets.

    To uvicorn it is the cycle of one request: the attributes without an underscore are those that it reads and sets.
    `message_event` is the client itself, since `set` is all that uvicorn does with it.
    """

    __slots__ = (
        "_chunked",
        "_head",
        "_protocol",
        "_serving",
        "_waiter",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(self, protocol: ShortWayProtocol, serving: Runtime, *, keep_alive: bool) -> None:
        super().__init__(protocol.loop)
        self._protocol = protocol
        self._serving = serving
        self._head = b""  # status and headers, until they go out with the first piece in one write
        self._chunked = False
        self._waiter: asyncio.Future[None] | None = None
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = keep_alive
        self.message_event = self

    @property
    def idle_connections(self) -> Deadlines:
        """Where the connection is watched when nothing is under way on it."""
        return self._serving.idle_connections

    async def run(self, exchange: Exchange) -> None:
        """Serve one request to its end."""
        try:
            await serve(exchange)
        except Exception:
            # The edge of the request: what has failed here could not even be answered.
            logger.exception("short_way_failed", extra={"request_id": exchange.id})
        finally:
            if not self.response_complete:
                # Cut on purpose: an answer without its end must not look complete.
                self._protocol.transport.close()

    def set(self) -> None:
        """Something has happened: more of the body, its end, or the end of the connection."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.disconnected and not self.response_complete:
            self.hang_up()

    @property
    def congested(self) -> bool:
        """See `Client.congested`."""
        return self._protocol.flow.write_paused and not self.disconnected

    @property
    def unsent_bytes(self) -> int:
        """See `Client.unsent_bytes`."""
        if self.disconnected:
            return 0
        transport = self._protocol.transport
        return transport.get_write_buffer_size() + _queued_bytes(transport.get_extra_info("socket"))

    async def read_body(self, most_bytes: int) -> bytes | None:
        """See `Client.read_body`."""
        while self.more_body and len(self.body) <= most_bytes and not self.disconnected:
            self._protocol.flow.resume_reading()
            self._waiter = self._loop.create_future()
            try:
                async with asyncio.timeout(BODY_SILENCE_SECONDS):
                    await self._waiter
            except TimeoutError:
                raise RequestTimeout(f"No more of the request body came for {BODY_SILENCE_SECONDS} s.") from None
        if self.disconnected:
            self.gone = True
            raise ClientGone
        if len(self.body) > most_bytes:
            return None
        body, self.body = bytes(self.body), bytearray()
        return body

    def start(self, status: int, headers: Headers) -> None:
        """See `Client.start`. What is sent stays here until the first piece of the body goes out with it."""
        if self.started:
            return
        self.started = True
        self._chunked = True
        lines = [STATUS_LINE[status]]
        for name, value in (*self._protocol.server_state.default_headers, *headers):
            if name == b"content-length":
                self._chunked = False
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive or self._serving.leaving:
            self.keep_alive = False
            lines.append(b"connection: close\r\n")
        lines.append(b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n")
        self._head = b"".join(lines)

    def push_body(self, data: bytes) -> None:
        """See `Client.push_body`. While the socket is full the transport keeps it; the upstream is paused then."""
        self._spoke()
        self._write(b"%b%x\r\n%b\r\n" % (self._head, len(data), data) if self._chunked else self._head + data)

    def _write(self, data: bytes) -> None:
        self._head = b""
        if not self.disconnected:
            self._protocol.transport.write(data)

    async def finish(self, data: bytes = b"") -> None:
        """See `Client.finish`."""
        if self.congested:
            await self.drain()
        if not self._chunked:
            self._write(self._head + data)
        elif data:
            self._write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (self._head, len(data), data))
        else:
            self._write(self._head + b"0\r\n\r\n")
        self.response_complete = True
        if self.disconnected:
            return
        if not self.keep_alive:
            self._protocol.transport.close()
        self._protocol.on_response_complete()

    def close(self) -> None:
        """See `Client.close`."""
        super().close()
        if self._head and not self.disconnected:
            self._write(self._head)  # a head without any body, before the connection is cut


def _queued_bytes(sock: Any) -> int:
    """What the system holds of a socket's output: sent or not, the other end has not confirmed it.

    It takes more from a transport only when a third of its own buffer is free, which tells of slow readers too late.
    """
    queued = array("i", [0])
    try:
        ioctl(sock.fileno(), termios.TIOCOUTQ, queued)
    except (OSError, ValueError):
        return 0  # not every system knows, and nobody knows of a closed one
    return queued[0]
