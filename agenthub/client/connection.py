"""The connection of an agent to its hub: kept up, resumed, and honest about what has arrived."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from agenthub.client.backoff import STEADY_SECONDS, advice, delay_seconds, is_final
from agenthub.client.frames import Lost, NotTaken, Stopped, frame_text
from agenthub.client.memory import Memory
from agenthub.client.session import HELLO_SECONDS, Session

logger = logging.getLogger("agenthub.client")

SUBPROTOCOL = "agenthub.v1"


class Connection:
    """Runs until `stop`, or until the hub says that coming again is of no use.

    `arrived` hears of messages that were written down, `heard` each other frame. Only `run` talks to the network.
    """

    def __init__(
        self,
        url: str,
        token: str,
        memory: Memory,
        *,
        hello: Callable[[], Mapping[str, Any]],
        beat: Callable[[], Mapping[str, Any]],
        arrived: Callable[[Sequence[str]], None],
        heard: Callable[[dict[str, Any]], None],
    ) -> None:
        self._address = socket_address(url)
        self._token = token
        self.memory = memory
        self.hello = hello
        self.beat = beat
        self.arrived = arrived
        self.heard = heard
        self.connected = asyncio.Event()
        self._ends = asyncio.Event()
        self.outgoing = asyncio.Event()
        self._gone = asyncio.Event()
        self._kept: set[asyncio.Future[None]] = set()
        self._results: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._socket: ClientConnection | None = None
        self._session: Session | None = None

    async def run(self) -> None:
        """Stay connected. Raises Stopped."""
        tries, loop = 0, asyncio.get_running_loop()
        opened: ClientConnection | None = None
        while not self._ends.is_set():
            began = loop.time()
            try:
                socket = opened or await self.open()
                opened = await self._serve(socket)
                tries = 0
                continue
            except InvalidStatus as refusal:
                self._raise_if_final(refusal)
                reason = f"HTTP {refusal.response.status_code}"
            except (ConnectionClosed, WebSocketException, OSError, TimeoutError, Lost) as problem:
                reason = self._reason(problem)
            opened = None
            if loop.time() - began > STEADY_SECONDS:
                tries = 0
            delay = delay_seconds(tries, chance=random.random())
            tries += 1
            logger.info("disconnected: %s; again in %.1f s", reason, delay)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), delay)

    @staticmethod
    def _raise_if_final(refusal: InvalidStatus) -> None:
        status = refusal.response.status_code
        if status in (401, 403, 404):
            raise Stopped(4500 if status != 403 else 4502, advice(4500 if status != 403 else 4502)) from refusal

    @staticmethod
    def _reason(problem: BaseException) -> str:
        if isinstance(problem, ConnectionClosed) and problem.rcvd is not None:
            code = problem.rcvd.code
            if is_final(code):
                raise Stopped(code, advice(code)) from problem
            return f"closed with {code} {problem.rcvd.reason}".strip()
        return str(problem) or type(problem).__name__

    async def stop(self) -> None:
        """Leave in good order: what was acknowledged stays, what was not is sent the next time."""
        self._ends.set()
        if self._socket is not None:
            await self._socket.close()
        await asyncio.gather(*self._kept, return_exceptions=True)

    # What is sent

    def announce(self) -> None:
        """Something waits in the memory to be sent."""
        self.outgoing.set()

    def result(self, local_id: str) -> "asyncio.Future[dict[str, Any]]":
        """What becomes of a message: its ACK. The future fails with NotTaken."""
        return self._results.setdefault(local_id, asyncio.get_running_loop().create_future())

    async def send_now(self, frame: Mapping[str, Any]) -> bool:
        """Send what may be lost, such as a piece of a stream; False when there is no connection."""
        session = self._session
        if session is None or not self.connected.is_set():
            return False
        await session.pace.wait(str(frame["type"]))
        try:
            await session.socket.send(frame_text(frame))
        except ConnectionClosed:
            return False
        return True

    async def emptied(self) -> None:
        """Wait until nothing waits to be sent."""
        while True:
            self._gone.clear()
            if not await asyncio.to_thread(self.memory.outgoing, behind=0, most=1):
                return
            await self._gone.wait()

    # One connection

    def settle(self, local_id: str, frame: dict[str, Any], problem: NotTaken | None) -> None:
        """What became of a message that was sent."""
        future = self._results.pop(local_id, None)
        if future is None or future.done():
            return
        if problem is None:
            future.set_result(frame)
        else:
            future.set_exception(problem)

    def forgot(self) -> None:
        """Some messages wait no more."""
        self._gone.set()

    def keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Do something to its end, whatever becomes of the connection."""
        task = asyncio.ensure_future(work)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    async def open(self) -> ClientConnection:
        """Another connection."""
        return await connect(
            self._address,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            max_size=2 * 1024 * 1024,
            open_timeout=HELLO_SECONDS,
            proxy=None,
        )

    async def _serve(self, socket: ClientConnection) -> ClientConnection | None:
        """Work with one connection until it ends; the next one, where the hub has asked to change over."""
        session = Session(self, socket)
        self._socket = socket
        try:
            await session.welcome()
            self._session = session
            self.connected.set()
            return await session.run()
        finally:
            if self._session is session:
                self.connected.clear()
                self._session = None
            await socket.close()


def socket_address(url: str) -> str:
    """The address of the WebSocket of a hub."""
    base = url.rstrip("/")
    for plain, socket in (("http://", "ws://"), ("https://", "wss://")):
        if base.startswith(plain):
            base = socket + base.removeprefix(plain)
    if not base.startswith(("ws://", "wss://")):
        raise ValueError(f"{url} is no address of a hub; one looks like http://127.0.0.1:9190")
    return base if base.endswith(("/api/ws", "/ws/agents")) else f"{base}/api/ws"
