"""Many clients at once, each asking one thing after the other, in all formats and manners."""

import asyncio
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

from tests.faults.chaos.plan import Ask, Manner, Plan
from tests.hub import Hub

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
_PATIENCE_SECONDS = 60.0
_SMALL_SOCKET_BYTES = 64 * 1024
_SLOWNESS_SECONDS = 0.002


@dataclass(slots=True)
class Came:
    """What a client got."""

    status: int = 0  # 0: it left before there was any
    request_id: str = ""
    backend: str = ""
    body: bytes = b""
    cut: bool = False  # the connection ended, but not the answer


class Clients:
    """So many clients of one model; what each request got is in `came`, by its number."""

    def __init__(self, hub: Hub, key: str, model: str, plan: Plan) -> None:
        self.came: dict[int, Came] = {}
        self._hub, self._key, self._model, self._plan = hub, key, model, plan

    def run(self, numbers: Iterable[int], *, at_once: int) -> None:
        """Ask all of these and come back when everything has ended and every connection is closed."""
        asyncio.run(self._run(iter(numbers), at_once))

    async def _run(self, numbers: Iterator[int], at_once: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._ask_on(numbers))

    async def _ask_on(self, numbers: Iterator[int]) -> None:
        async with self._client() as client, self._client(_SMALL_SOCKET_BYTES) as slow:
            for number in numbers:
                ask = self._plan.ask(number)
                came = self.came[number] = Came()
                if ask.manner is Manner.LEAVES_AT_ONCE:
                    await self._leave_at_once(client, ask)
                else:
                    await self._take(slow if ask.manner is Manner.READS_SLOWLY else client, ask, came)

    def _client(self, socket_bytes: int = 0) -> httpx.AsyncClient:
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, socket_bytes)] if socket_bytes else None
        return httpx.AsyncClient(
            base_url=self._hub.base_url,
            headers={"authorization": f"Bearer {self._key}"},
            timeout=_PATIENCE_SECONDS,
            transport=httpx.AsyncHTTPTransport(verify=False, socket_options=options),
        )

    async def _leave_at_once(self, client: httpx.AsyncClient, ask: Ask) -> None:
        asking = asyncio.create_task(client.post(PATHS[ask.wire], json=ask.body(self._model)))
        await asyncio.wait_for(asyncio.wrap_future(self._plan.asked(ask.number)), _PATIENCE_SECONDS)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()

    async def _take(self, client: httpx.AsyncClient, ask: Ask, came: Came) -> None:
        pieces: list[bytes] = []
        try:
            async with client.stream("POST", PATHS[ask.wire], json=ask.body(self._model)) as answer:
                came.status, came.request_id = answer.status_code, answer.headers["x-request-id"]
                came.backend = answer.headers.get("x-agenthub-backend", "")
                async for piece in answer.aiter_raw():
                    pieces.append(piece)
                    if ask.manner is Manner.LEAVES_MIDWAY:
                        break
                    if ask.manner is Manner.READS_SLOWLY:
                        await asyncio.sleep(_SLOWNESS_SECONDS)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            came.cut = True
        came.body = b"".join(pieces)
