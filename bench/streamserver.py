"""An upstream that streams: each chunk carries its number and the moment at which it was written.

`python -m bench.streamserver PORT`. How many chunks, and how far apart, stands in the prompt (`payload.stream_body`).
"""

import asyncio
import re
import sys
import time

import uvloop

_ORDER = re.compile(rb"chunks=(\d+) interval=(\d+)us")
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_CHUNK = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"native-model",'
    b'"choices":[{"index":0,"delta":%s,"finish_reason":%s}]}\n\n'
)
_USAGE = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"native-model",'
    b'"choices":[],"usage":{"prompt_tokens":210,"completion_tokens":%d,"total_tokens":%d}}\n\n'
)


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection: a request, its stream, and the next."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember where to write."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """Stop streaming to nobody."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return
        body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
        order = _ORDER.search(body)
        self._chunks, self._interval = (int(order[1]), int(order[2]) / 1e6) if order else (1, 0.0)
        self._usage = b"include_usage" in body
        self._number = 0
        self._started = self._loop.time()
        self._transport.write(_HEAD + _framed(_CHUNK % (b'{"role":"assistant","content":""}', b"null")))
        self._next()

    def _next(self) -> None:
        self._number += 1
        content = b'{"content":"@%d:%d "}' % (self._number, time.monotonic_ns())
        self._transport.write(_framed(_CHUNK % (content, b"null")))
        if self._number < self._chunks:
            due = self._started + self._number * self._interval
            self._timer = self._loop.call_at(due, self._next)
        else:
            self._end()

    def _end(self) -> None:
        self._timer = None
        last = _framed(_CHUNK % (b"{}", b'"stop"'))
        if self._usage:
            last += _framed(_USAGE % (self._chunks, self._chunks + 210))
        self._transport.write(last + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
