"""The client's side of one request: what it is sent, and whether it is still there.

`AsgiClient` (`asgi_client.py`) speaks ASGI with whatever server there is; `SocketClient` (`shortway.py`) writes to the
socket of uvicorn's own protocol. What both do stands here.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any

from proxy.wire.sse import KEEP_ALIVE_EVENT

Headers = list[tuple[bytes, bytes]]

BODY_SILENCE_SECONDS = 60


class ClientGone(Exception):
    """The client hung up."""


class Client(ABC):
    """Whoever sent the request. Belongs to the event loop; all but the coroutines may be called from callbacks."""

    __slots__ = (
        "_drained",
        "_headers",
        "_keepalive",
        "_keepalive_seconds",
        "_loop",
        "_on_drained",
        "_sent_at",
        "_task",
        "gone",
        "started",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._drained: asyncio.Future[None] | None = None
        self._on_drained: Callable[[], None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._keepalive: asyncio.TimerHandle | None = None
        self._keepalive_seconds = 0.0
        self._headers: Headers = []
        self._sent_at = 0.0
        self.gone = False  # it has hung up
        self.started = False  # status and headers are out

    @abstractmethod
    async def read_body(self, most_bytes: int) -> bytes | None:
        """The whole request body; None if it is larger than `most_bytes`. Raises ClientGone, RequestTimeout."""

    def body_pieces(self) -> AsyncIterator[bytes]:
        """The request body piece by piece, for what is not held in memory. Raises ClientGone, RequestTimeout."""
        raise NotImplementedError(f"{type(self).__name__} reads bodies whole.")

    @abstractmethod
    def start(self, status: int, headers: Headers) -> None:
        """Send status and headers, unless a keep-alive comment had to do that already."""

    @abstractmethod
    def push_body(self, data: bytes) -> None:
        """Send a piece of the body, now or behind what waits."""

    @abstractmethod
    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece; the response is complete."""

    @property
    @abstractmethod
    def congested(self) -> bool:
        """Whether the client's socket is full."""

    @property
    def unsent_bytes(self) -> int:
        """How much of what was pushed the client's socket has not taken yet; 0 where that can't be seen."""
        return 0

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """Cancel `task` if the client hangs up before `close`."""
        self._task = task

    def hang_up(self) -> None:
        """The client has gone."""
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    # A full socket

    def when_drained(self, callback: Callable[[], None] | None) -> None:
        """Whom to tell when a full socket has room again."""
        self._on_drained = callback

    async def drain(self) -> None:
        """Wait until everything pushed has been handed to the system."""
        while self.congested:
            self._drained = self._loop.create_future()
            await self._drained

    def writable(self) -> None:
        """A full socket has room again."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._on_drained is not None:
            self._on_drained()

    # Keep-alive comments

    def keep_talking(self, seconds: float, headers: Headers) -> None:
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

    def _spoke(self) -> None:
        if self._keepalive is not None:
            self._sent_at = self._loop.time()

    def close(self) -> None:
        """Stop watching and filling; what still waits is dropped."""
        if self._keepalive is not None:
            self._keepalive.cancel()
            self._keepalive = None
        self._task = None
        self._on_drained = None
