"""Long bodies on real sockets: sent as fast as they are taken, and no further than somebody wants them."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from providers.rules.table import Way
from proxy.request_spool import RequestSpool
from proxy.sending import MOST_UNSENT_BYTES, PIECE_BYTES
from proxy.upstream import BodyFailed, Connection, ConnectionBroken, ConnectionPool, Origin, RequestBody, origin_of
from tests.proxy.test_upstream import OK, Collected
from tests.proxy.upstream.certificates import Authority
from tests.proxy.upstream.servers import OutgoingProxyServer, listening

LONG = 64 * 1024 * 1024
"""More than any socket holds."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Zeros:
    """A body that is not there before it is read, and watches what of it waits in the connection meanwhile."""

    def __init__(self, length: int, *, there: int | None = None) -> None:
        self.length = length
        self.there = length if there is None else there
        self.taken = 0
        self.most_waiting = 0
        self.watched: Connection | None = None

    def read(self, most_bytes: int) -> bytes:
        if self.watched is not None and self.watched._transport is not None:
            self.most_waiting = max(self.most_waiting, self.watched._transport.get_write_buffer_size())
        piece = bytes(min(most_bytes, self.there - self.taken))
        self.taken += len(piece)
        return piece


class Unreadable(Zeros):
    def read(self, most_bytes: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


class Watched(Connection):
    """Says when its socket is full, and when it is gone."""

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        super().__init__(lost)
        self.full = asyncio.Event()
        self.gone = asyncio.Event()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.full.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> ConnectionPool:
    monkeypatch.setattr("proxy.upstream.Connection", Watched)
    return ConnectionPool(allow_private=True)


@pytest.fixture(params=["plain", "tls", "tunnel", "by proxy"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def upstream(serve: Serve, authority: Authority, way: str) -> AsyncIterator[Origin]:
    tls = way in ("tls", "tunnel")
    async with (
        listening(serve, authority.server_context() if tls else None) as port,
        listening(OutgoingProxyServer()) as proxy_port,
    ):
        proxy = f"http://127.0.0.1:{proxy_port}" if way in ("tunnel", "by proxy") else ""
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield origin_of(url, Way(proxy=proxy, ca_bundle=authority.pem))[0]


async def begin(pool: ConnectionPool, origin: Origin, body: RequestBody) -> tuple[Watched, Collected]:
    connection = await pool.connect(origin)
    assert isinstance(connection, Watched)
    if isinstance(body, Zeros):
        body.watched = connection
    sink = Collected()
    head = b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-length: %d\r\n\r\n"
    connection.start(sink, head % (origin.target(b"/"), origin.authority, body.length), body)
    return connection, sink


async def over(sink: Collected) -> Collected:
    async with asyncio.timeout(60):
        await sink.over.wait()
    return sink


async def test_a_server_that_reads_slowly_holds_the_body_back(
    pool: ConnectionPool, authority: Authority, way: str
) -> None:
    reading = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reading.wait()
        left = LONG
        while left:
            left -= len(await reader.readexactly(min(left, 100_000)))
        writer.write(OK)
        await writer.drain()
        await reader.read()

    async with upstream(slow, authority, way) as origin:
        body = Zeros(LONG)
        connection, sink = await begin(pool, origin, body)
        async with asyncio.timeout(30):
            await connection.full.wait()
        assert body.taken < LONG
        reading.set()
        assert ((await over(sink)).status, sink.body, sink.failure) == (200, b"ok", None)
        assert body.taken == LONG
        assert body.most_waiting <= MOST_UNSENT_BYTES + 2 * PIECE_BYTES
        pool.settle(origin, connection)
        assert pool.kept(origin) is connection
        connection.abort()


async def test_what_arrives_is_the_body_with_its_replacement(
    pool: ConnectionPool, authority: Authority, way: str, folder: Path
) -> None:
    digests = []

    async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
            digests.append(sha256(await reader.readexactly(length)).digest())
            writer.write(OK)
            await writer.drain()

    content = bytes(range(256)) * 4096
    with RequestSpool(folder, most_bytes=LONG) as spool:
        spool.write(content)
        async with upstream(digest, authority, way) as origin:
            connection, sink = await begin(pool, origin, spool.open_reader([(5, 9, b"another name")]))
            assert (await over(sink)).body == b"ok"
            pool.settle(origin, connection)
            assert pool.kept(origin) is connection
            again = Collected()
            head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (origin.target(b"/"), spool.length())
            connection.start(again, head, spool.open_reader())
            assert (await over(again)).body == b"ok"
            connection.abort()
    assert digests == [sha256(content[:5] + b"another name" + content[9:]).digest(), sha256(content).digest()]


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"401 Unauthorized", b"200 OK"])
async def test_an_early_answer_ends_the_sending_and_the_connection(
    pool: ConnectionPool, authority: Authority, status: bytes
) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 3\r\n\r\nno!" % status)
        await asyncio.Event().wait()

    for way in ("plain", "tls", "tunnel"):
        async with upstream(early, authority, way) as origin:
            body = Zeros(LONG)
            connection, sink = await begin(pool, origin, body)
            await over(sink)
            assert (sink.status, sink.body, sink.failure) == (int(status[:3]), b"no!", None)
            taken = body.taken
            assert taken < LONG
            assert not connection.reusable
            pool.settle(origin, connection)
            assert pool.kept(origin) is None
            async with asyncio.timeout(10):
                await connection.gone.wait()
            assert body.taken == taken


async def test_a_refusal_stops_the_body_before_its_own_end(pool: ConnectionPool, authority: Authority) -> None:
    goes_on = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 4\r\n\r\nno")
        await writer.drain()
        await goes_on.wait()
        while len(await reader.read(1_000_000)) == 1_000_000:
            pass  # room for more of the body, which does not come
        writer.write(b"!!")
        await writer.drain()
        await asyncio.Event().wait()

    class Half(Collected):
        def __init__(self) -> None:
            super().__init__()
            self.half = asyncio.Event()

        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            self.half.set()

    async with upstream(slowly, authority, "plain") as origin:
        body, sink = Zeros(LONG), Half()
        connection = await pool.connect(origin)
        connection.start(sink, b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % LONG, body)
        async with asyncio.timeout(10):
            await sink.half.wait()
        taken = body.taken
        goes_on.set()
        assert ((await over(sink)).body, sink.failure) == (b"no!!", None)
        assert body.taken == taken < LONG
        connection.abort()


async def test_an_answer_that_begins_early_does_not_stop_the_body(pool: ConnectionPool, authority: Authority) -> None:
    async def echo_count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        left = LONG
        while left:
            left -= len(await reader.readexactly(min(left, 100_000)))
        writer.write(b"3\r\nall\r\n0\r\n\r\n")
        await reader.read()

    async with upstream(echo_count, authority, "plain") as origin:
        connection, sink = await begin(pool, origin, Zeros(LONG))
        assert ((await over(sink)).body, sink.failure, connection.reusable) == (b"all", None, True)
        connection.abort()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (Zeros(1000, there=999), "1 bytes before"),
        (Zeros(LONG, there=0), "ends"),
        (Unreadable(1000), "can't be read: Input/output error"),
    ],
)
async def test_a_body_that_breaks_off_is_the_hubs_own_failure(
    pool: ConnectionPool, authority: Authority, body: Zeros, words: str
) -> None:
    rest: asyncio.Queue[bytes] = asyncio.Queue()

    async def until_cut(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        rest.put_nowait(b"")

    body.taken = 0
    async with upstream(until_cut, authority, "plain") as origin:
        connection, sink = await begin(pool, origin, body)
        await over(sink)
        assert isinstance(sink.failure, BodyFailed)
        assert words in str(sink.failure)
        assert not connection.reusable
        async with asyncio.timeout(10):
            await rest.get()


async def test_a_spool_that_is_closed_meanwhile_is_not_read_on(
    pool: ConnectionPool, authority: Authority, folder: Path
) -> None:
    reading = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reading.wait()
        while await reader.read(1_000_000):
            pass

    async with upstream(slow, authority, "plain") as origin:
        spool = RequestSpool(folder, most_bytes=LONG)
        spool.write(bytes(LONG))
        connection, sink = await begin(pool, origin, spool.open_reader())
        async with asyncio.timeout(10):
            await connection.full.wait()
        spool.close()
        reading.set()
        assert isinstance((await over(sink)).failure, BodyFailed)


async def test_a_body_of_no_bytes(pool: ConnectionPool, authority: Authority) -> None:
    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()

    async with upstream(at_once, authority, "plain") as origin:
        connection, sink = await begin(pool, origin, Zeros(0))
        assert ((await over(sink)).body, connection.reusable) == (b"ok", True)
        connection.abort()


async def test_an_upstream_that_goes_away_ends_the_sending(pool: ConnectionPool, authority: Authority) -> None:
    async def go_away(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with upstream(go_away, authority, "plain") as origin:
        body = Zeros(LONG)
        connection, sink = await begin(pool, origin, body)
        assert isinstance((await over(sink)).failure, ConnectionBroken)
        async with asyncio.timeout(10):
            await connection.gone.wait()
        assert body.taken < LONG


async def test_a_caller_that_gives_up_ends_the_sending(pool: ConnectionPool, authority: Authority) -> None:
    async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with upstream(never, authority, "plain") as origin:
        body = Zeros(LONG)
        connection, sink = await begin(pool, origin, body)
        async with asyncio.timeout(10):
            await connection.full.wait()
            taken = body.taken
            connection.abort()
            await connection.gone.wait()
        assert (body.taken, sink.over.is_set()) == (taken, False)
