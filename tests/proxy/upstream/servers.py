"""Servers that upstream connections meet: upstreams in TLS, and an outgoing proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.proxy.test_upstream import Handler


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of 127.0.0.1; gives the port. Nothing of it is left at the end."""
    serving: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await handler(reader, writer)
        except _GONE:
            writer.transport.abort()
        await _closed(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving)


_GONE = (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError)
"""What a handler meets when the other side goes away, or the test ends."""


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(*_GONE):
        await writer.wait_closed()


@dataclass
class OutgoingProxyServer:
    """An HTTP proxy: tunnels for CONNECT, and requests in absolute form."""

    wanted: bytes = b""  # the value of Proxy-Authorization; b"": anybody may come
    refusal: bytes = b""  # what it answers instead of doing anything
    heads: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.asked.set()
            if self.silent:
                await reader.read()
                return
            if self.wanted and b"proxy-authorization: " + self.wanted + b"\r\n" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwho?")
                await writer.drain()
                return
            if self.refusal:
                writer.write(self.refusal)
                await writer.drain()
                return
            method, target, _ = head.split(b" ", 2)
            if method == b"CONNECT":
                await self._tunnel(target.decode(), reader, writer)
                return
            await self._forward(target.decode(), head, reader, writer)

    async def _tunnel(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        finally:
            await _closed(far_writer)

    async def _forward(
        self, target: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        authority = target.removeprefix("http://").partition("/")[0]
        host, _, port = authority.rpartition(":")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"proxy-authorization")]
        length = sum(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        far_writer.write(b"\r\n".join(lines).replace(b"http://" + authority.encode(), b"", 1))
        while length:
            piece = await reader.read(min(length, 65536))
            length -= len(piece)
            far_writer.write(piece)
            await far_writer.drain()
        answer = await far_reader.readuntil(b"\r\n\r\n")
        writer.write(answer + await far_reader.readexactly(2))
        await _closed(far_writer)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
