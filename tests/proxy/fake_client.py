"""A client that keeps what it is sent, and takes no more than a test lets it."""

import asyncio

from proxy.client import Client, Headers


class FakeClient(Client):
    """Sockets are played: `full` makes this one's congested until `empty` is called."""

    def __init__(self, body: bytes | None = b"{}") -> None:
        super().__init__(asyncio.get_running_loop())
        self.status = 0
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.finished = False
        self.closed = False
        self.pushed = asyncio.Event()
        self._body = body
        self._full = False

    @property
    def body(self) -> bytes:
        """All that has come of the body."""
        return b"".join(self.pieces)

    @property
    def congested(self) -> bool:
        return self._full

    def full(self) -> None:
        self._full = True

    def empty(self) -> None:
        self._full = False
        self.writable()

    async def read_body(self, most_bytes: int) -> bytes | None:
        return self._body

    def start(self, status: int, headers: Headers) -> None:
        if not self.started:
            self.started = True
            self.status, self.headers = status, headers

    def push_body(self, data: bytes) -> None:
        self._spoke()
        self.pieces.append(data)
        self.pushed.set()

    async def finish(self, data: bytes = b"") -> None:
        await self.drain()
        self.pieces.append(data)
        self.finished = True

    def close(self) -> None:
        super().close()
        self.closed = True
