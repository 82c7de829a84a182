"""Bodies of requests that are too large to be held in memory: sent piece by piece, as fast as the socket takes them."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.upstream_failures import BodyFailed

PIECE_BYTES = 64 * 1024
"""What is read and written at a time. One piece in a turn of the loop, so that others have theirs."""

MOST_UNSENT_BYTES = 64 * 1024
"""With more than this waiting for the socket, nothing is read. Each layer of TLS holds as much again."""


class RequestBody(Protocol):
    """Where a body comes from. Read on the event loop, so from memory or from files just written."""

    @property
    def length(self) -> int:
        """Bytes in all, as the request's head has announced them."""

    def read(self, most_bytes: int) -> bytes:
        """The next piece, of any size up to this; b"" at the end. May raise OSError."""


class BodySender:
    """Sends one body. `ended` hears None when all of it is in the socket's hands, or why there is no more of it."""

    __slots__ = ("_body", "_ended", "_left", "_loop", "_next", "_paused", "_stopped", "_transport")

    def __init__(
        self, transport: asyncio.WriteTransport, body: RequestBody, ended: Callable[[BodyFailed | None], None]
    ) -> None:
        self._transport = transport
        self._body = body
        self._ended = ended
        self._left = body.length
        self._paused = False
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        self._next: asyncio.Handle | None = self._loop.call_soon(self._send)

    def pause(self) -> None:
        """The socket has enough."""
        self._paused = True

    def resume(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._go_on()

    def stop(self) -> None:
        """Nobody wants the rest; `ended` is not called."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()

    def _go_on(self) -> None:
        if self._next is None and not self._paused and not self._stopped:
            self._next = self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._next = None
        if self._paused or self._transport.is_closing():
            return
        try:
            piece = self._body.read(min(PIECE_BYTES, self._left)) if self._left else b""
        except OSError as problem:
            self._ended(BodyFailed(f"The request's body can't be read: {problem.strerror or problem}."))
            return
        if not piece and self._left:
            self._ended(BodyFailed(f"The request's body ends {self._left:,} bytes before its announced end."))
            return
        self._left -= len(piece)
        self._transport.write(piece)
        if self._left:
            self._go_on()
        else:
            self._ended(None)
