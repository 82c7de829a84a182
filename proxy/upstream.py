"""The upstream side: pooled HTTP/1.1 connections on asyncio protocols, one parser each.

What makes it lean: one object per connection that is protocol and parser callback in one, one write per request, no
queue and no task; whoever waits is woken once. A connection carries one exchange at a time and reports it to a `Sink`:
head, pieces of the body as they come, the end, or a failure.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, cast
from urllib.parse import urlsplit

import httptools

from agenthub.core import addresses, clock
from proxy.rules.limits import MOST_HEADER_BYTES

logger = logging.getLogger(__name__)

IDLE_SECONDS = 55.0
"""Kept connections are used again within this time: below the 60 s after which common servers close theirs."""

DRAIN_SECONDS = 1.0
"""Longest wait for the last bytes of an answer whose outcome is known already."""

MOST_KEPT = 256
"""Idle connections that are kept per backend."""


class UpstreamFailed(Exception):
    """The exchange broke: connecting, sending, or receiving."""


class ConnectFailed(UpstreamFailed):
    """No connection could be made."""


class AddressRefused(ConnectFailed):
    """The backend's name leads to an address that the hub does not talk to."""


class ConnectionBroken(UpstreamFailed):
    """The connection ended before the answer did. `untouched` if no byte of an answer had come."""

    def __init__(self, message: str, *, untouched: bool, reused: bool) -> None:
        super().__init__(message)
        self.untouched = untouched
        self.reused = reused


class AnswerInvalid(UpstreamFailed):
    """What came is not HTTP."""


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a backend's connections go."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.tls else 80
        return (host if self.port == usual else f"{host}:{self.port}").encode(
            "idna" if not self.host.isascii() else "ascii"
        )


def origin_of(base_url: str) -> tuple[Origin, str]:
    """The origin of a base URL, and its path without a trailing slash. Raises ValueError for what is no http(s) URL."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{base_url!r} is not an http(s) URL.")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls), parts.path.rstrip("/")


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
        self.exchanges = 0
        self.idle_since = 0.0

    # What the pool and the request do.

    def start(self, sink: Sink, data: bytes) -> None:
        """Send a whole request; everything that comes back goes to `sink`."""
        if self._transport is None:
            raise RuntimeError("A request was started on a connection that is gone.")
        self._sink = sink
        self._complete = self._touched = self._body_until_close = False
        self._headers = []
        self._head_bytes = 0
        self._has_head = False
        self.exchanges += 1
        self._transport.write(data)

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
        self._finish_or_break(exc)
        self._transport = None
        self._lost(self)

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
        names = {name for name, _ in self._headers}
        self._body_until_close = b"content-length" not in names and b"transfer-encoding" not in names
        if self._sink is not None:
            self._sink.on_head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._sink is not None:
            self._sink.on_data(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._parser.get_status_code() < 200:
            self._headers = []
            return
        # Asked here, because the parser forgets it when the message is done.
        self._keep = self._parser.should_keep_alive()
        self._complete = True
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_end()


class ConnectionPool:
    """Kept connections per origin, the last used first, and how new ones are made."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._kept: dict[Origin, list[Connection]] = {}
        self._ssl: ssl.SSLContext | None = None
        self._closed = False

    def kept(self, origin: Origin) -> Connection | None:
        """A kept connection that looks alive; None if there is none."""
        stack = self._kept.get(origin)
        now = clock.monotonic_seconds()
        while stack:
            connection = stack.pop()
            if connection.usable and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def settle(self, origin: Origin, connection: Connection) -> None:
        """The request is done with the connection: keep it, let the last bytes come, or end it."""
        if connection.unfinished:
            connection.drain(lambda: self.give_back(origin, connection))
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, connection.stop_draining)
        else:
            self.give_back(origin, connection)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep the connection for the next request, or end it."""
        stack = self._kept.setdefault(origin, [])
        if self._closed or not connection.reusable or len(stack) >= MOST_KEPT:
            connection.abort()
            return
        connection.resume()  # the client may have been too slow for the last piece, which held the end of the answer
        connection.idle_since = clock.monotonic_seconds()
        stack.append(connection)

    async def connect(self, origin: Origin) -> Connection:
        """A new connection. Every address is checked against the address rules at the moment of connecting, so that a
        name can't be pointed elsewhere after it was saved. Raises ConnectFailed or AddressRefused."""
        loop = asyncio.get_running_loop()
        problem: Exception | None = None
        for address in await self._addresses(origin):
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._forget(origin)),
                    address,
                    origin.port,
                    ssl=self._tls() if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
            except (OSError, ssl.SSLError) as failure:
                problem = failure
                continue
            return connection
        raise ConnectFailed(f"No connection to {origin.host}:{origin.port}: {problem}.")

    async def _addresses(self, origin: Origin) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(origin.host, origin.port, type=1)
        except (OSError, UnicodeError) as problem:
            raise ConnectFailed(f"{origin.host} could not be resolved: {problem}.") from None
        every = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [each for each in every if addresses.refusal(each, allow_private=self._allow_private) is None]
        if not allowed:
            why = addresses.refusal(every[0], allow_private=self._allow_private) if every else "no address"
            raise AddressRefused(f"{origin.host}: {why}")
        return allowed

    def _tls(self) -> ssl.SSLContext:
        if self._ssl is None:
            self._ssl = ssl.create_default_context()
        return self._ssl

    def _forget(self, origin: Origin) -> "Callable[[Connection], None]":
        def forget(connection: Connection) -> None:
            stack = self._kept.get(origin)
            if stack is not None and connection in stack:
                stack.remove(connection)

        return forget

    def prune(self) -> None:
        """End connections that nobody has used for a while."""
        now = clock.monotonic_seconds()
        for origin, stack in list(self._kept.items()):
            fresh = [each for each in stack if each.usable and now - each.idle_since < IDLE_SECONDS]
            for stale in set(stack) - set(fresh):
                stale.abort()
            if fresh:
                self._kept[origin] = fresh
            else:
                del self._kept[origin]

    def close(self) -> None:
        """End every kept connection."""
        self._closed = True
        for stack in self._kept.values():
            for connection in stack:
                connection.abort()
        self._kept.clear()
