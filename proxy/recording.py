"""An answer as it was sent to one client, kept in memory, and how another client gets it again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from agenthub.core.errors import Refused
from proxy.client import Client, Headers
from proxy.wire.sse import EventSplitter
from proxy.wire.unreadable import UNREADABLE

STALL_SECONDS = 60.0
_SLICE_BYTES = 64 * 1024
_VERSION = b"\x01"

_KEPT = frozenset(
    {b"content-type", b"content-language", b"openai-model", b"openai-version"}
    | {b"cache-control", b"x-accel-buffering", b"x-agenthub-backend", b"x-agenthub-pool"}
)
"""An allow-list: what is true of the answer itself. Ids, limits, attempts and lengths belong to one sending of it."""


class Recorded(msgspec.Struct, frozen=True, array_like=True):
    """A complete answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    stream: bool  # the body is a stream of events

    @property
    def size_bytes(self) -> int:
        """What it takes up, but for a few objects."""
        return _size(self.headers) + len(self.body)


_PACKED = msgspec.msgpack.Decoder(Recorded)


def pack(recorded: Recorded) -> bytes:
    """The answer as bytes that other processes understand, also those of other versions."""
    return _VERSION + msgspec.msgpack.encode(recorded)


def unpack(data: bytes) -> Recorded | None:
    """What `pack` was given; None if the bytes are damaged or of a version that this one does not know."""
    if data[:1] != _VERSION:
        return None
    try:
        return _PACKED.decode(memoryview(data)[1:])
    except UNREADABLE:
        return None


class Recording:
    """What has been sent to a client so far, up to `most_bytes` of headers and body; beyond them all is forgotten."""

    __slots__ = ("_body", "_headers", "_most_bytes", "_size", "_stream", "finished", "forgotten", "status")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()
        self._size = 0
        self._stream = False
        self.status = 0  # 0: nothing has been sent
        self.finished = False  # the last piece was given to the client, whether it stayed for it or not
        self.forgotten = False  # it was larger than `most_bytes`

    def begin(self, status: int, headers: Headers) -> None:
        """Status and headers; only the first ones count."""
        if self.status:
            return
        self.status = status
        self._headers = tuple((name.lower(), value) for name, value in headers if name.lower() in _KEPT)
        self._stream = dict(self._headers).get(b"content-type", b"").lower().startswith(b"text/event-stream")
        self._take(_size(self._headers))

    def add(self, data: bytes) -> None:
        """A piece of the body."""
        self._take(len(data))
        if not self.forgotten:
            self._body += data

    def end(self, data: bytes) -> None:
        """The last piece."""
        self.add(data)
        self.finished = True

    def _take(self, size: int) -> None:
        self._size += size
        if self._size > self._most_bytes:
            self.forgotten = True
            self._headers, self._body = (), bytearray()

    def result(self) -> Recorded | None:
        """The whole answer; None if it was not finished, or is forgotten."""
        if not self.status or not self.finished or self.forgotten:
            return None
        return Recorded(self.status, self._headers, bytes(self._body), self._stream)


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


class RecordingClient(Client):
    """Another client, with a recording of what it is sent.

    Keep-alive comments are none of the answer: the other client writes them by itself, past the recording. It has all
    of the state, too, so `Client.__init__` is not called.
    """

    __slots__ = ("_client", "recording")

    def __init__(self, client: Client, recording: Recording) -> None:
        self._client = client
        self.recording = recording

    def start(self, status: int, headers: Headers) -> None:
        """See `Client.start`. What is recorded is the answer's own head, also where a comment had sent another one."""
        self.recording.begin(status, headers)
        self._client.start(status, headers)

    def push_body(self, data: bytes) -> None:
        """See `Client.push_body`."""
        self.recording.add(data)
        self._client.push_body(data)

    async def finish(self, data: bytes = b"") -> None:
        """See `Client.finish`. The answer is complete even if the client leaves while it waits for the last piece."""
        self.recording.end(data)
        await self._client.finish(data)

    async def read_body(self, most_bytes: int) -> bytes | None:
        """See `Client.read_body`."""
        return await self._client.read_body(most_bytes)

    def body_pieces(self) -> AsyncIterator[bytes]:
        """See `Client.body_pieces`."""
        return self._client.body_pieces()

    @property
    def unsent_bytes(self) -> int:
        """See `Client.unsent_bytes`."""
        return self._client.unsent_bytes

    @property
    def gone(self) -> bool:
        """Whether it has hung up."""
        return self._client.gone

    @gone.setter
    def gone(self, value: bool) -> None:
        self._client.gone = value

    @property
    def started(self) -> bool:
        """Whether status and headers are out."""
        return self._client.started

    @started.setter
    def started(self, value: bool) -> None:
        self._client.started = value

    @property
    def congested(self) -> bool:
        """See `Client.congested`."""
        return self._client.congested

    def watch(self, task: "asyncio.Task[object]") -> None:
        """See `Client.watch`."""
        self._client.watch(task)

    def hang_up(self) -> None:
        """See `Client.hang_up`."""
        self._client.hang_up()

    def when_drained(self, callback: Callable[[], None] | None) -> None:
        """See `Client.when_drained`."""
        self._client.when_drained(callback)

    async def drain(self) -> None:
        """See `Client.drain`."""
        await self._client.drain()

    def writable(self) -> None:
        """See `Client.writable`."""
        self._client.writable()

    def keep_talking(self, seconds: float, headers: Headers) -> None:
        """See `Client.keep_talking`."""
        self._client.keep_talking(seconds, headers)

    def close(self) -> None:
        """See `Client.close`."""
        self._client.close()


async def replay(
    client: Client,
    recorded: Recorded,
    extra_headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    stall_seconds: float = STALL_SECONDS,
) -> bool:
    """Send an answer to a client; False if the client took nothing of a stream for `stall_seconds`, so that its
    response is not complete.

    A stream goes out event by event, no faster than the client takes it. Raises Refused, which becomes the last event,
    where keep-alive comments have begun a stream already and the answer is none.
    """
    if recorded.stream:
        client.start(recorded.status, [*recorded.headers, *extra_headers])
        return await _replay_events(client, recorded.body, stall_seconds)
    if client.started:
        raise Refused(f"The upstream refused the request with {recorded.status}.")
    length = (b"content-length", b"%d" % len(recorded.body))
    client.start(recorded.status, [*recorded.headers, *extra_headers, length])
    await client.finish(recorded.body)
    return True


async def _replay_events(client: Client, body: bytes, stall_seconds: float) -> bool:
    splitter = EventSplitter(len(body))
    last = b""
    for at in range(0, len(body), _SLICE_BYTES):
        for event in splitter.feed(body[at : at + _SLICE_BYTES]):
            if last:
                client.push_body(last)
            last = event
            if not await _drained(client, stall_seconds):
                return False
        await asyncio.sleep(0)  # others have their turn, too, when a client takes everything at once
    await client.finish(last + splitter.rest())
    return True


async def _drained(client: Client, stall_seconds: float) -> bool:
    if not client.congested:
        return True
    try:
        async with asyncio.timeout(stall_seconds):
            await client.drain()
    except TimeoutError:
        return False
    return True
