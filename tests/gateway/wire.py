"""A client of the WebSocket that knows nothing but JSON: what it sends and sees is what is on the wire."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.gateway.people import Someone
from tests.hub import Hub

SECONDS = 15.0


class Wire:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}

    def send(self, kind: str, **fields: Any) -> None:
        """Send a frame."""
        self.raw(json.dumps({"type": kind, **fields}))

    def raw(self, text: str | bytes) -> None:
        """Send what may be no frame."""
        self.socket.send(text)

    def frame(self, *, seconds: float = SECONDS) -> dict[str, Any]:
        """The next frame."""
        text = self.socket.recv(timeout=seconds)
        assert isinstance(text, str)
        found: dict[str, Any] = json.loads(text)
        return found

    def until(self, kind: str, **equal: Any) -> dict[str, Any]:
        """The next frame of a type with these fields; others are passed over."""
        while True:
            frame = self.frame()
            if frame["type"] == kind and all(frame.get(name) == value for name, value in equal.items()):
                return frame

    def hello(self, **fields: Any) -> dict[str, Any]:
        """Say HELLO; the WELCOME."""
        self.send("HELLO", **{"v": 1, "agent": {"name": "test", "version": "1", "sdk": "none"}, **fields})
        self.welcome = self.frame()
        assert self.welcome["type"] == "WELCOME", self.welcome
        return self.welcome

    def chat(self, target: int, payload: Any, local_id: str, **fields: Any) -> dict[str, Any]:
        """Send a CHAT; its ACK or ERROR. One that comes too early is sent again, as the protocol asks."""
        self.send("CHAT", target_id=target, payload=payload, local_id=local_id, **fields)
        while True:
            frame = self.frame()
            if frame["type"] not in ("ACK", "ERROR") or frame.get("local_id") != local_id:
                continue
            if frame.get("code") != "rate_limited":
                return frame
            time.sleep(frame["retry_after_ms"] / 1000)
            self.send("CHAT", target_id=target, payload=payload, local_id=local_id, **fields)

    def error(self) -> dict[str, Any]:
        """The next ERROR."""
        return self.until("ERROR")

    def beats(self) -> None:
        """Send a heartbeat and wait for its answer: all that was sent before has been acted on."""
        self.send("HEARTBEAT", acked_seq=0)
        self.until("HEARTBEAT_ACK")

    def has_ended(self) -> bool:
        """Whether the hub has closed; frames before that are passed over."""
        try:
            while True:
                self.socket.recv(timeout=0)
        except TimeoutError:
            return False
        except ConnectionClosed:
            return True

    def closed(self) -> int:
        """The code with which the hub closes; frames before it are passed over."""
        try:
            while True:
                self.socket.recv(timeout=SECONDS)
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd is not None else 1006


@contextmanager
def connected(hub: Hub, someone: Someone | str, *, modern: bool = True, **more: Any) -> Iterator[Wire]:
    """A connection of version 1, after its handshake of HTTP; HELLO is the caller's to send."""
    token = someone if isinstance(someone, str) else someone.token
    address = hub.base_url.replace("http", "ws") + "/api/ws"
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    options: dict[str, Any] = {"subprotocols": ["agenthub.v1"]} if modern else {}
    with connect(
        address, additional_headers=headers, compression=None, proxy=None, max_size=2**20, **options, **more
    ) as socket:
        yield Wire(socket)


@contextmanager
def welcomed(hub: Hub, someone: Someone, **hello: Any) -> Iterator[Wire]:
    """A connection of version 1 that has been welcomed."""
    with connected(hub, someone) as wire:
        wire.hello(**hello)
        yield wire


@contextmanager
def plain(hub: Hub, someone: Someone, *, path: str = "/api/ws") -> Iterator[Wire]:
    """A plain EchoCenter client: its token stands in the address, and it says no HELLO."""
    address = hub.base_url.replace("http", "ws") + f"{path}?token={someone.token}"
    with connect(address, compression=None, proxy=None, max_size=2**20) as socket:
        yield Wire(socket)
