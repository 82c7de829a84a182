"""What belongs to one connection: what has come and been acknowledged, what was sent and not yet."""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from agenthub.client.frames import Lost, NotTaken, frame_text
from agenthub.client.memory import Memory, Outgoing, Place
from agenthub.client.pace import Pace

logger = logging.getLogger("agenthub.client")

HELLO_SECONDS = 15.0
ACK_MESSAGES = 32
MOST_IN_FLIGHT = 64
SEQUENCED = frozenset({"CHAT", "TASK", "CANCEL"})


class Owner(Protocol):
    """What outlives a connection."""

    memory: Memory
    outgoing: asyncio.Event  # something waits to be sent

    def hello(self) -> Mapping[str, Any]:
        """What HELLO says beside the version."""

    def beat(self) -> Mapping[str, Any]:
        """What heartbeats say."""

    def arrived(self, frames: Sequence[str]) -> None:
        """Messages were written down."""

    def heard(self, frame: dict[str, Any]) -> None:
        """Another frame has come."""

    def settle(self, local_id: str, frame: dict[str, Any], problem: NotTaken | None) -> None:
        """What became of a message that was sent."""

    def forgot(self) -> None:
        """Some messages wait no more."""

    def keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Do something to its end, whatever becomes of the connection."""

    async def open(self) -> ClientConnection:
        """Another connection."""


class Session:
    """What belongs to one connection."""

    def __init__(self, owner: Owner, socket: ClientConnection) -> None:
        self._owner = owner
        self._memory = owner.memory
        self.socket = socket
        self.pace = Pace({})
        self._received = 0  # the newest number that has come
        self._epoch = ""
        self.welcomed: dict[str, Any] = {}
        self._taken: list[tuple[int, str]] = []
        self._come = asyncio.Event()
        self._in_flight: dict[str, Outgoing] = {}
        self._behind = 0  # what was sent last
        self._rewinds = 0  # how often it was set back
        self._hold_until = 0.0
        self._room = asyncio.Event()
        self._forgotten: list[str] = []
        self._forget_some = asyncio.Event()
        self._beaten = False
        self._heartbeat_seconds = 25.0
        self._next: ClientConnection | None = None
        self._changing: asyncio.Future[None] | None = None

    async def welcome(self) -> None:
        """Say who comes and from where; hear how it goes on."""
        place = await asyncio.to_thread(self._memory.place)
        hello = {"type": "HELLO", "v": 1, **self._owner.hello()}
        if place is not None:
            hello["resume"] = {"epoch": place.epoch, "last_seq": place.seq}
        await self.socket.send(frame_text(hello))
        async with asyncio.timeout(HELLO_SECONDS):
            while (frame := json.loads(await self.socket.recv()))["type"] != "WELCOME":
                logger.warning("before WELCOME: %s", frame)
        self.welcomed = frame
        self._epoch = frame["epoch"]
        self._received = place.seq if place is not None and frame["resumed"] else frame["replay_from"] - 1
        if place is None or not frame["resumed"]:
            await asyncio.to_thread(self._memory.move, Place(self._epoch, self._received))
        self._heartbeat_seconds = float(frame.get("heartbeat_s", 25))
        self.pace = Pace(frame.get("limits", {}).get("rate", {}))
        self._owner.heard(frame)

    async def run(self) -> ClientConnection | None:
        """Until it ends."""
        work: list[Callable[[], Awaitable[None]]] = [self._read, self._take, self._send, self._forget, self._beat]
        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(each()) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            if self._changing is not None and self._next is None:
                tasks.append(self._changing)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._next

    # What comes

    async def _read(self) -> None:
        async for text in self.socket:
            frame = json.loads(text)
            kind = frame.get("type")
            if kind in SEQUENCED and "seq" in frame:
                self._message(frame, str(text))
            elif kind == "ACK":
                self._acknowledged(frame)
            elif kind == "ERROR" and frame.get("local_id") in self._in_flight:
                self._refused(frame)
            elif kind == "GAP":
                self._gap(frame)
            elif kind == "HEARTBEAT_ACK":
                self._beaten = False
            elif kind == "RECONNECT":
                self._changing = asyncio.ensure_future(self._change_over(frame.get("after_ms", 0) / 1000))
            else:
                self._owner.heard(frame)
        if self._next is None:
            raise Lost("the hub has closed the connection")

    def _message(self, frame: dict[str, Any], text: str) -> None:
        seq = frame["seq"]
        if seq <= self._received:
            return  # sent again; it has been taken
        if seq > self._received + 1:
            raise Lost(f"message {self._received + 1} is missing")
        self._received = seq
        self._taken.append((seq, text))
        self._come.set()

    def _gap(self, frame: Mapping[str, Any]) -> None:
        """The hub says what is lost; the numbers go on behind it."""
        # Numbers from before a restore are not those that come now.
        if frame["reason"] != "restored" and frame["from"] <= self._received + 1 <= frame["to"] + 1:
            self._received = max(self._received, frame["to"])
            self._come.set()
        self._owner.heard(dict(frame))

    async def _take(self) -> None:
        """Write messages down, then acknowledge them: many with one word."""
        acked = self._received
        while True:
            await self._come.wait()
            if len(self._taken) < ACK_MESSAGES:
                # A moment, so that what comes together is written and acknowledged together.
                await asyncio.sleep(0)
            self._come.clear()
            frames, self._taken = self._taken, []
            place = Place(self._epoch, self._received)
            # Also when this connection ends meanwhile: what is written down must be handled.
            await asyncio.shield(self._owner.keep(self._keep(frames, place)))
            if place.seq > acked:
                acked = place.seq
                await self.socket.send(frame_text({"type": "ACK", "seq": acked}))

    async def _keep(self, frames: Sequence[tuple[int, str]], place: Place) -> None:
        self._owner.arrived(await asyncio.to_thread(self._memory.take, frames, place))

    # What goes

    async def _send(self) -> None:
        """Send what waits, in order, a bounded number of frames ahead of their acknowledgements."""
        owner = self._owner
        owner.outgoing.set()
        while True:
            await owner.outgoing.wait()
            owner.outgoing.clear()
            while True:
                rewinds = self._rewinds
                rows = await asyncio.to_thread(self._memory.outgoing, behind=self._behind)
                if not rows and rewinds == self._rewinds:
                    break
                for row in rows:
                    if not await self._send_one(row, rewinds):
                        break

    async def _send_one(self, row: Outgoing, rewinds: int) -> bool:
        """Send a frame; False when one before it has to be sent again first."""
        while len(self._in_flight) >= MOST_IN_FLIGHT:
            self._room.clear()
            await self._room.wait()
        await asyncio.sleep(max(0.0, self._hold_until - asyncio.get_running_loop().time()))
        await self.pace.wait(json.loads(row.frame)["type"])
        if self._rewinds != rewinds:
            return False
        self._in_flight[row.local_id] = row
        self._behind = row.n
        await self.socket.send(row.frame)
        if row.after:
            await self.socket.send(row.after)
        return True

    def _acknowledged(self, frame: dict[str, Any]) -> None:
        local_id = frame.get("local_id")
        if not isinstance(local_id, str):
            return
        self._in_flight.pop(local_id, None)
        self._room.set()
        self._over(local_id, frame, None)

    def _refused(self, frame: dict[str, Any]) -> None:
        local_id, code = frame["local_id"], frame.get("code", "")
        if code == "target_offline":
            return  # a hint: it is stored, and its ACK comes
        row = self._in_flight.pop(local_id)
        self._room.set()
        if frame.get("retry_after_ms") is not None:
            # From this one on everything is sent again, so that the order stays.
            self._hold_until = asyncio.get_running_loop().time() + frame["retry_after_ms"] / 1000
            self._behind = min(self._behind, row.n - 1)
            self._rewinds += 1
            self._owner.outgoing.set()
            return
        self._over(local_id, frame, NotTaken(code, str(frame.get("message", ""))))
        self._owner.heard(frame)

    def _over(self, local_id: str, frame: dict[str, Any], problem: NotTaken | None) -> None:
        """Tell at once what became of a message, and forget it a moment later. Where the connection ends in between, it
        is sent again, and the hub knows it."""
        self._owner.settle(local_id, frame, problem)
        self._forgotten.append(local_id)
        self._forget_some.set()

    async def _forget(self) -> None:
        while True:
            await self._forget_some.wait()
            self._forget_some.clear()
            names, self._forgotten = self._forgotten, []
            await asyncio.to_thread(self._memory.sent, names)
            self._owner.forgot()

    # Whether the other side is there

    async def _beat(self) -> None:
        wait = random.random() * self._heartbeat_seconds
        while True:
            await asyncio.sleep(wait)
            wait = self._heartbeat_seconds
            if self._beaten:
                raise Lost("the last heartbeat was not answered")
            self._beaten = True
            await self.socket.send(frame_text({"type": "HEARTBEAT", **self._owner.beat()}))

    async def _change_over(self, seconds: float) -> None:
        """The hub's process stops: open the next connection, then leave this one."""
        await asyncio.sleep(seconds)
        try:
            self._next = await self._owner.open()
        except (WebSocketException, OSError, TimeoutError) as problem:
            logger.info("no next connection yet: %s", problem)
            return
        await self.socket.close()
