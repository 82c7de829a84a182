"""Many streams at once on one process, each arriving chunk by chunk."""

import asyncio
import json

import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute

STREAMS = 200
CHUNKS = 25


class Reader(asyncio.Protocol):
    """One caller: notes how many chunks it has, and tells the others when it has one more."""

    def __init__(self, request: bytes, arrived: asyncio.Condition) -> None:
        self.body = b""
        self._request = request
        self._arrived = arrived
        self._telling: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.body += data
        telling = asyncio.ensure_future(self._tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()

    @property
    def chunks(self) -> int:
        return self.body.count(b'"content":"word')

    @property
    def whole(self) -> bool:
        return b"data: [DONE]" in self.body and self.body.endswith(b"0\r\n\r\n")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["embedded", "distributed"])
async def test_two_hundred_streams_arrive_in_step(mode: str, hub: Hub, route: MakeRoute, key: str) -> None:
    """Chunk n+1 is made when all two hundred callers have chunk n: whoever gathers chunks would wait for ever."""
    one = route("only", fields={"only": {"rpm_limit": None}})
    one.script("only", Script(gate=one.model, chunks=CHUNKS))
    content = json.dumps(one.chat(stream=True)).encode()
    host, port = hub.base_url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {key}\r\n"
    request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content

    arrived = asyncio.Condition()
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Reader(request, arrived), host, int(port)) for _ in range(STREAMS)]
    readers = [reader for _, reader in opened]
    try:
        async with asyncio.timeout(120):
            for number in range(1, CHUNKS + 1):
                one.standin.open_gate(one.model, number + 1)
                async with arrived:
                    await arrived.wait_for(lambda: all(reader.chunks == number for reader in readers))  # noqa: B023
            one.standin.open_gate(one.model)
            async with arrived:
                await arrived.wait_for(lambda: all(reader.whole for reader in readers))
    finally:
        for transport, _ in opened:
            transport.abort()

    records = await asyncio.to_thread(hub.records, one.model, count=STREAMS)
    assert {(record["status"], record["output_tokens"]) for record in records} == {(200, CHUNKS)}
    [row] = hub.rows("providers_hourlyusage", model=one.model)
    assert (row["request_count"], row["output_tokens"]) == (STREAMS, STREAMS * CHUNKS)
