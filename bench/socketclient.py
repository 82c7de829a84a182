"""A WebSocket client that costs next to nothing, so that thousands of them fit on the load's core."""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast

import orjson

_PONG, _PING, _CLOSE, _TEXT = 0xA, 0x9, 0x8, 0x1


class SocketClient(asyncio.Protocol):
    """One connection: hands each text frame on, answers pings. Its masks are zero, which the protocol allows."""

    def __init__(self, token: str, on_text: Callable[["SocketClient", bytes], None], name: int) -> None:
        self.name = name
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.last_seq = 0
        self._token = token
        self._on_text = on_text
        self._buffer = bytearray()
        self._shaken = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            "GET /api/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: agenthub.v1\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n"
        )
        self.transport.write(head.encode())

    def connection_lost(self, _: Exception | None) -> None:
        """It is over."""
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("refused"))
            self.opened.exception()

    def send(self, frame: dict[str, object]) -> None:
        """Send a frame."""
        self._write(_TEXT, orjson.dumps(frame))

    def _write(self, opcode: int, body: bytes) -> None:
        size = len(body)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 65_536:
            head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
        assert self.transport is not None
        self.transport.write(head + b"\0\0\0\0" + body)

    def data_received(self, data: bytes) -> None:
        """Take apart what has come."""
        buffer = self._buffer
        buffer += data
        if not self._shaken:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in buffer[:20]:
                self.opened.set_exception(ConnectionError(bytes(buffer[:200]).decode(errors="replace")))
                return
            del buffer[: end + 4]
            self._shaken = True
            self.send({"type": "HELLO", "v": 1})
        start = 0
        while len(buffer) - start >= 2:
            size, head = buffer[start + 1] & 127, 2
            if size == 126:
                size, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[start + 2 : start + 10], "big"), 10
            if len(buffer) - start < head + size:
                break
            self._frame(buffer[start] & 15, bytes(buffer[start + head : start + head + size]))
            start += head + size
        del buffer[:start]

    def _frame(self, opcode: int, body: bytes) -> None:
        if opcode == _TEXT:
            if not self.opened.done():
                self.opened.set_result(None)  # WELCOME
                return
            self._on_text(self, body)
        elif opcode == _PING:
            self._write(_PONG, body)
        elif opcode == _CLOSE and self.transport is not None:
            self.transport.close()


async def open_all(
    port: int, tokens: dict[int, str], on_text: Callable[[SocketClient, bytes], None], *, at_once: int = 100
) -> dict[int, SocketClient]:
    """A welcomed connection for each agent. They come from several addresses, as the ports of one do not last."""
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(at_once)
    clients: dict[int, SocketClient] = {}

    async def one(number: int, token: str) -> None:
        async with room:
            local = (f"127.0.0.{2 + number % 200}", 0)
            _, client = await loop.create_connection(
                lambda: SocketClient(token, on_text, number), "127.0.0.1", port, local_addr=local
            )
            await client.opened
            clients[number] = client

    await asyncio.gather(*(one(*each) for each in tokens.items()))
    return clients
