"""One HTTP/1.1 connection to an upstream: an asyncio protocol that is its own parser's callback.

What makes it lean: one object for each connection, one write for each plain request, no queue and no task; whoever
waits is woken once. A connection carries one exchange at a time and reports it to a `Sink`: head, pieces of the body
as they come, the end, or a failure.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import chain
from typing import Protocol, cast

import httptools

from proxy.rules.limits import MOST_HEADER_BYTES
from proxy.sending import BodySender, RequestBody
from proxy.upstream_failures import AnswerInvalid, BodyFailed, ConnectionBroken, OutgoingProxyFailed, UpstreamFailed

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Who listens to one exchange. Called on the event loop; must not block."""

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Status and headers (names in lower case) are there."""

    def on_data(self, data: bytes) -> None:
        """A piece of the body, as it came."""

    def on_end(self) -> None:
        """The body is complete."""

    def on_failure(self, failure: UpstreamFailed) -> None:
        """The exchange broke; nothing more will come."""


class _Drain:
    """A sink for bytes that nobody needs: the end of an exchange whose outcome is known."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.on_end = on_end

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Of no use."""

    def on_data(self, data: bytes) -> None:
        """Of no use."""

    def on_failure(self, failure: UpstreamFailed) -> None:
        """The connection is gone, which is fine."""


class Connection(asyncio.Protocol):
    """One connection to an origin; at most one exchange at a time."""

    def __init__(self, lost: "Callable[[Connection], None]") -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0  # what has come while the head is not whole
        self._has_head = False
        self._keep = False
        self._complete = False
        self._touched = False  # a byte of the present answer has come
        self._body_until_close = False
        self._sending: BodySender | None = None
        self._partial = False  # not all of a streamed body has been written
        self._clogged = False  # the socket has more to send than it likes
        self.exchanges = 0
        self.idle_since = 0.0
        self.proxy_name = ""  # the outgoing proxy that reads the requests themselves; "" where none does

    # What the pool and the request do.

    def start(self, sink: Sink, data: bytes, body: RequestBody | None = None) -> None:
        """Send a whole request; everything that comes back goes to `sink`.

        With `body`, `data` is the head alone, and the body follows as the socket takes it. An upstream that refuses
        the request before it has all of the body gets no more of it.
        """
        if self._transport is None:
            raise RuntimeError("A request was started on a connection that is gone.")
        self._sink = sink
        self._complete = self._touched = self._body_until_close = self._partial = False
        self._headers = []
        self._head_bytes = 0
        self._has_head = False
        self.exchanges += 1
        self._transport.write(data)
        if body is not None:
            self._partial = True
            self._sending = BodySender(self._transport, body, self._body_ended)

    @property
    def usable(self) -> bool:
        """Whether another exchange may begin on it."""
        return self._sink is None and self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the exchange that has just ended leaves the connection fit for another."""
        return self._complete and self._keep and self.usable

    @property
    def unfinished(self) -> bool:
        """Whether the upstream has yet to send the end of its answer."""
        return self._sink is not None and self._transport is not None and not self._transport.is_closing()

    def drain(self, then: Callable[[], None]) -> None:
        """Let the rest of the answer come unheard, and call `then` at its end."""
        self._sink = _Drain(then)
        self.resume()

    def stop_draining(self) -> None:
        """Enough waited for the end of an answer."""
        if isinstance(self._sink, _Drain):
            self.abort()

    def pause(self) -> None:
        """Stop reading: the client is slower than the upstream."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection at once; the sink hears nothing more."""
        self._sink = None
        self._stop_sending()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # Not isinstance(asyncio.Transport): uvloop's transports are not of that family.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the upstream, straight into the parser, whose callbacks follow below."""
        if self._sink is None:
            # Nobody asked: a server that talks out of turn has lost count of requests.
            self.abort()
            return
        self._touched = True
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(AnswerInvalid("The upstream wants to switch protocols."))
        except httptools.HttpParserCallbackError as problem:
            # An error of ours inside a callback; the parser only wraps it.
            logger.exception("upstream_callback_failed", exc_info=problem.__context__ or problem)
            self._fail(AnswerInvalid("The upstream's answer could not be taken in."))
        except httptools.HttpParserError as problem:
            self._fail(AnswerInvalid(f"The upstream's answer is not HTTP: {problem}."))
        if not self._has_head and self._head_bytes > MOST_HEADER_BYTES:
            self._fail(AnswerInvalid("The upstream's headers are too large."))

    def eof_received(self) -> bool:
        """The upstream has finished sending: fine only for a body without a length."""
        self._finish_or_break(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_sending()
        self._finish_or_break(exc)
        self._transport = None
        self._lost(self)

    def pause_writing(self) -> None:
        """The socket has more to send than it likes."""
        self._clogged = True
        if self._sending is not None:
            self._sending.pause()

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._clogged = False
        if self._sending is not None:
            self._sending.resume()

    def _body_ended(self, failure: BodyFailed | None) -> None:
        self._sending = None
        if failure is None:
            self._partial = False
        else:
            self._fail(failure)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.stop()
            self._sending = None

    def _finish_or_break(self, exc: Exception | None) -> None:
        if self._sink is None:
            return
        if self._body_until_close and exc is None:
            sink, self._sink = self._sink, None
            sink.on_end()
            return
        why = f"{type(exc).__name__}" if exc is not None else "closed"
        self._fail(
            ConnectionBroken(
                f"The upstream's connection ended before its answer ({why}).",
                untouched=not self._touched,
                reused=self.exchanges > 1,
            )
        )

    def _fail(self, failure: UpstreamFailed) -> None:
        sink, self._sink = self._sink, None
        self._keep = False
        self._stop_sending()
        if self._transport is not None:
            self._transport.abort()
        if sink is not None:
            sink.on_failure(failure)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """All headers; 1xx answers are stepped over."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self._has_head = True
        if self._head_bytes > MOST_HEADER_BYTES and sum(map(len, chain(*self._headers))) > MOST_HEADER_BYTES:
            self._fail(AnswerInvalid("The upstream's headers are too large."))
            return
        if status >= 300:
            self._refused(status)
        names = {name for name, _ in self._headers}
        self._body_until_close = b"content-length" not in names and b"transfer-encoding" not in names
        if self._sink is not None:
            self._sink.on_head(status, self._headers)

    def _refused(self, status: int) -> None:
        # The rest of a body would be read by nobody, and would only keep the answer from coming through.
        self._stop_sending()
        if status == 407 and self.proxy_name:
            self._fail(OutgoingProxyFailed(f"The outgoing proxy {self.proxy_name} wants other credentials (407)."))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._sink is not None:
            self._sink.on_data(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._parser.get_status_code() < 200:
            self._headers = []
            return
        # Asked here, because the parser forgets it when the message is done. An answer to a request that has not left
        # as a whole is the last one: its rest would be taken for the next.
        self._keep = self._parser.should_keep_alive() and not self._partial and not self._clogged
        self._complete = True
        if self._sending is not None:
            self._stop_sending()
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_end()
