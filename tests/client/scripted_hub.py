"""A hub of one agent that does what a test says: the rules of the protocol, and faults at chosen moments."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

Refuse = Callable[[dict[str, Any]], dict[str, Any] | None]


class ScriptedHub:
    """Keeps what is sent to it; hands out an inbox."""

    def __init__(self) -> None:
        self.url = ""
        self.epoch = "e1"
        self.kept: list[str] = []  # local ids, in the order in which they were taken
        self.inbox: list[str] = []
        self.hellos: list[dict[str, Any]] = []
        self.refuse: Refuse = lambda _: None
        self.after_welcome: list[dict[str, Any]] = []
        self.resumes = True
        self.token_works = True
        self.sockets: list[ServerConnection] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedHub"]:
        """It, serving."""
        async with serve(self._serve, "127.0.0.1", 0, subprotocols=["agenthub.v1"]) as server:  # type: ignore[list-item]
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _serve(self, socket: ServerConnection) -> None:
        if not self.token_works:
            await socket.close(4501)
            return
        hello = json.loads(await socket.recv())
        self.hellos.append(hello)
        self.sockets.append(socket)
        last = hello.get("resume", {}).get("last_seq", 0) if self.resumes else 0
        await self._send(
            socket,
            type="WELCOME",
            resumed=self.resumes and "resume" in hello,
            epoch=self.epoch,
            replay_from=last + 1,
            head_seq=len(self.inbox),
            heartbeat_s=25,
            open_tasks=[],
        )
        for frame in self.after_welcome:
            await self._send(socket, **frame)
        for seq in range(last + 1, len(self.inbox) + 1):
            await self.hand_out(socket, seq)
        async for text in socket:
            await self._take(socket, json.loads(text))

    async def hand_out(self, socket: ServerConnection, seq: int) -> None:
        """Send a message of the inbox."""
        await self._send(
            socket,
            type="CHAT",
            id=seq,
            seq=seq,
            epoch=self.epoch,
            sender_id=2,
            sender_role="BUTLER",
            payload=self.inbox[seq - 1],
        )

    async def _take(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        if "local_id" not in frame:
            return
        refusal = self.refuse(frame)
        if refusal is not None:
            await self._send(socket, type="ERROR", local_id=frame["local_id"], message="no", **refusal)
            return
        dup = frame["local_id"] in self.kept
        if not dup:
            self.kept.append(frame["local_id"])
        await self._send(socket, type="ACK", local_id=frame["local_id"], id=len(self.kept), dup=dup)

    @staticmethod
    async def _send(socket: ServerConnection, **frame: Any) -> None:
        await socket.send(json.dumps(frame))
