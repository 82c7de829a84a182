"""Upstream connections against real sockets that behave as sockets do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.upstream import (
    AddressRefused,
    AnswerInvalid,
    ConnectFailed,
    Connection,
    ConnectionBroken,
    ConnectionPool,
    Origin,
    UpstreamFailed,
    origin_of,
)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.failure: UpstreamFailed | None = None
        self.over = asyncio.Event()

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, dict(headers)

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.over.set()

    def on_failure(self, failure: UpstreamFailed) -> None:
        self.failure = failure
        self.over.set()


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[Origin]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Origin("127.0.0.1", listening.sockets[0].getsockname()[1], tls=False)


async def exchange(connection: Connection) -> Collected:
    sink = Collected()
    connection.start(sink, REQUEST)
    async with asyncio.timeout(10):
        await sink.over.wait()
    return sink


def answering(*answers: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return handler


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nok"


async def test_a_connection_is_used_again() -> None:
    pool = ConnectionPool(allow_private=True)
    async with server(answering(OK, OK)) as origin:
        connection = await pool.connect(origin)
        sink = await exchange(connection)
        assert (sink.status, sink.headers[b"x-y"], sink.body) == (200, b"z", b"ok")
        pool.settle(origin, connection)
        again = pool.kept(origin)
        assert again is connection
        assert (await exchange(connection)).body == b"ok"


class SlowReader(Collected):
    """A sink that wants no more after each piece."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def on_data(self, data: bytes) -> None:
        super().on_data(data)
        self._connection.pause()


async def test_a_connection_whose_answer_ended_while_it_was_paused_is_used_again() -> None:
    pool = ConnectionPool(allow_private=True)
    async with server(answering(OK, OK)) as origin:
        connection = await pool.connect(origin)
        slow = SlowReader(connection)
        connection.start(slow, REQUEST)
        await slow.over.wait()
        pool.settle(origin, connection)
        assert pool.kept(origin) is connection
        assert (await exchange(connection)).body == b"ok"


async def test_a_chunked_body_and_informational_answers() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = hints + head + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
    async with server(answering(answer)) as origin:
        sink = await exchange(await ConnectionPool(allow_private=True).connect(origin))
        assert (sink.status, sink.body, sink.failure) == (200, b"abcde", None)


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as origin:
        pool = ConnectionPool(allow_private=True)
        connection = await pool.connect(origin)
        sink = await exchange(connection)
        assert (sink.body, sink.failure) == (b"until the end", None)
        pool.settle(origin, connection)
        assert pool.kept(origin) is None


async def test_a_body_that_is_shorter_than_it_said_is_broken() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")) as origin:
        sink = await exchange(await ConnectionPool(allow_private=True).connect(origin))
        assert isinstance(sink.failure, ConnectionBroken)
        assert not sink.failure.untouched


async def test_a_connection_that_ends_before_any_byte_is_untouched() -> None:
    async with server(answering(OK, b"")) as origin:
        connection = await ConnectionPool(allow_private=True).connect(origin)
        await exchange(connection)
        sink = await exchange(connection)
        assert isinstance(sink.failure, ConnectionBroken)
        assert sink.failure.untouched
        assert sink.failure.reused


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH\r\n", b"\x00\x01\x02\x03" * 10, b"HTTP/1.1 banana\r\n\r\n"])
async def test_garbage_is_no_answer(garbage: bytes) -> None:
    async with server(answering(garbage)) as origin:
        sink = await exchange(await ConnectionPool(allow_private=True).connect(origin))
        assert isinstance(sink.failure, AnswerInvalid)


async def test_headers_without_end_are_cut_off() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(100)) + b"\r\n"
    async with server(answering(answer)) as origin:
        sink = await exchange(await ConnectionPool(allow_private=True).connect(origin))
        assert isinstance(sink.failure, AnswerInvalid)


async def test_a_server_that_closes_a_kept_connection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ConnectionPool(allow_private=True)
    closing, lost = asyncio.Event(), asyncio.Event()

    class Watched(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    monkeypatch.setattr("proxy.upstream.Connection", Watched)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(OK)(reader, writer)
        await closing.wait()

    async with server(handler) as origin:
        connection = await pool.connect(origin)
        await exchange(connection)
        pool.settle(origin, connection)
        closing.set()
        async with asyncio.timeout(10):
            await lost.wait()
        assert pool.kept(origin) is None


async def test_nobody_listening_is_a_failed_connection() -> None:
    async with server(answering()) as origin:
        pass
    with pytest.raises(ConnectFailed):
        await ConnectionPool(allow_private=True).connect(origin)


async def test_private_addresses_need_permission() -> None:
    with pytest.raises(AddressRefused):
        await ConnectionPool(allow_private=False).connect(Origin("127.0.0.1", 1, tls=False))
    with pytest.raises(AddressRefused):
        await ConnectionPool(allow_private=False).connect(Origin("localhost", 1, tls=False))


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://host/v1", b"host", "/v1"),
        ("http://host:8080/a/v1/", b"host:8080", "/a/v1"),
        ("http://[::1]:81", b"[::1]:81", ""),
        ("https://b\u00fccher.example/v1", b"xn--bcher-kva.example", "/v1"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, authority: bytes, path: str) -> None:
    origin, found = origin_of(url)
    assert (origin.authority, found) == (authority, path)


@pytest.mark.parametrize("url", ["ftp://host", "host/v1", "http://", "file:///etc/passwd"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        origin_of(url)
