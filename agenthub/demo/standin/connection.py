"""One connection to the stand-in: HTTP/1.1 on the bare transport, so that it can also be wrong on purpose."""

import asyncio
import socket
import struct
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools

from agenthub.demo.standin.protocol import Events, Whole
from agenthub.demo.standin.reply import reply
from agenthub.demo.standin.request import Request, read_request
from agenthub.demo.standin.script import Script, raw
from agenthub.demo.standin.seen import Seen, seen_of

if TYPE_CHECKING:
    from agenthub.demo.standin.server import StandIn

_LINGER_NOT = struct.pack("ii", 1, 0)
_GZIP = 31  # zlib's word for a gzip header and the largest window
_FOREVER = 10_000_000.0
_PHRASES = {each.value: each.phrase for each in HTTPStatus}


class _Cut(Exception):
    """The script wants the connection to end here."""


class _Left(Exception):
    """The caller has ended the connection."""


class Connection(asyncio.Protocol):
    """Takes requests one after the other and answers each by its script."""

    def __init__(self, standin: "StandIn") -> None:
        self._standin = standin
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._seen: Seen | None = None
        self._answering: asyncio.Task[None] | None = None
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._standin.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """The caller, or we, have ended it."""
        self._standin.connections.discard(self)
        if self._answering is not None and self._seen is not None:
            self._seen.disconnected = True  # said here, since a task that has not begun yet does not hear of its end
            self._answering.cancel()
            self._standin.changed()
        self._writable.set()

    def pause_writing(self) -> None:
        """The caller reads more slowly than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The caller has caught up."""
        self._writable.set()

    # httptools' callbacks

    def on_url(self, url: bytes) -> None:
        """A piece of the request's path."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole: answer it."""
        method = self._parser.get_method().decode()
        request = read_request(method, self._target.decode("latin-1"), self._headers, b"".join(self._body))
        self._target, self._headers, self._body = b"", {}, []
        self._seen = seen = seen_of(request)
        script = self._standin.take(seen)
        self._answering = asyncio.get_running_loop().create_task(self._answer(seen, request, script))

    def close(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    # The answer

    async def _answer(self, seen: Seen, request: Request, script: Script) -> None:
        try:
            await self._play(seen, request, script)
            seen.finished = True
        except _Cut:
            seen.finished = True
            self._end(script)
        except _Left:
            seen.disconnected = True
        finally:
            if self._answering is asyncio.current_task():  # else the next request has come with the last byte of this
                self._answering = None
            self._standin.changed()

    async def _play(self, seen: Seen, request: Request, script: Script) -> None:
        await self._pause(script.before_head_seconds, script, step=1)
        if script.cut_before_head:
            raise _Cut
        answer = reply(request, script, self._standin.files)
        if isinstance(answer, Whole):
            await self._send(answer, script)
        else:
            await self._stream(seen, answer, script)

    async def _send(self, answer: Whole, script: Script) -> None:
        body = zlib.compress(answer.body, wbits=_GZIP) if script.gzip else answer.body
        length = len(body) if script.content_length is None else script.content_length
        headers = {"content-type": answer.content_type, "content-length": str(length), **_encoding(script)}
        head = _head(answer.status, {**headers, **script.headers})
        if script.cut:
            await self._write(head + body[: script.cut_after], script)
            raise _Cut
        await self._write(head + body, script)
        if length != len(body):
            raise _Cut

    async def _stream(self, seen: Seen, events: Events, script: Script) -> None:
        if script.gzip:
            self._packer = zlib.compressobj(wbits=_GZIP)
        framing = {"transfer-encoding": "chunked"} if script.chunked else {"connection": "close"}
        headers = {"content-type": events.content_type, "cache-control": "no-cache", **framing}
        await self._write(_head(script.status, {**headers, **_encoding(script), **script.headers}), script)
        for event in events.opening():
            await self._event(event, script)
        for number in range(events.chunks + 1):
            await self._event(raw(script.inserts.get(number, "")), script)
            if script.cut and script.cut_after == number:
                # What was written before a reset must have left, since a reset takes back what has not.
                await asyncio.sleep(0.01)
                raise _Cut
            if script.silent_after == number:
                await asyncio.sleep(_FOREVER)
            if number == events.chunks:
                break
            await self._pause(self._seconds_before(number, script), script, step=number + 2)
            seen.chunks_sent += 1
            await self._event(events.chunk(number), script)
            self._standin.changed()
        for event in events.closing():
            await self._event(event, script)
        if not script.chunked:
            self._transport.close()
            return
        await self._write(b"0\r\n\r\n", script)

    def _seconds_before(self, number: int, script: Script) -> float:
        return script.between_chunks_seconds if number else script.before_first_chunk_seconds

    async def _pause(self, seconds: float, script: Script, *, step: int) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        if script.gate:
            await self._standin.gate(script.gate).passed(step)

    async def _event(self, event: bytes, script: Script) -> None:
        if event:
            if script.gzip:
                event = self._packer.compress(event) + self._packer.flush(zlib.Z_SYNC_FLUSH)
            await self._write(b"%x\r\n%b\r\n" % (len(event), event) if script.chunked else event, script)

    async def _write(self, data: bytes, script: Script) -> None:
        """Write and let the loop flush it: each piece leaves by itself, so that times of arrival mean something."""
        size = script.drip_bytes or len(data)
        for start in range(0, len(data), size):
            if self._transport.is_closing():
                raise _Left  # which uvloop knows before it tells
            self._transport.write(data[start : start + size])
            await asyncio.sleep(0)
        if not self._writable.is_set() and self._seen is not None:
            self._seen.stalled = True
            self._standin.changed()
        await self._writable.wait()

    def _end(self, script: Script) -> None:
        if script.cut == "reset":
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._transport.abort()
        else:
            self._transport.close()


def _encoding(script: Script) -> dict[str, str]:
    return {"content-encoding": "gzip"} if script.gzip else {}


def _head(status: int, headers: dict[str, str]) -> bytes:
    start = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}"
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")
