"""The stand-in provider: a real HTTP server that plays any number of scripted backends.

    async with StandIn() as standin:
        standin.script("first", Script(status=429, headers={"retry-after": "7"}), Script())
        base_url = standin.url("first")

Starting and stopping belong to one event loop; everything else may be called from any thread.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Self

from agenthub.demo.standin.connection import Connection
from agenthub.demo.standin.files import FileStore
from agenthub.demo.standin.gates import WIDE_OPEN, Gate
from agenthub.demo.standin.script import Script
from agenthub.demo.standin.seen import Seen

MOST_REMEMBERED = 20_000
_BACKLOG = 1024


class StandIn:
    """Scripts and files per backend, and what was seen of each."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.connections: set[Connection] = set()
        self.files = FileStore()
        self.counts: Counter[str] = Counter()
        self._scripts: dict[str, deque[Script]] = {}
        self._choices: dict[str, Callable[[Seen], Script]] = {}
        self._gates: dict[str, Gate] = {}
        self._seen: deque[Seen] = deque(maxlen=MOST_REMEMBERED)
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: Connection(self), self.host, self.port, backlog=_BACKLOG, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        await self._server.wait_closed()

    def url(self, backend: str = "") -> str:
        """The base URL of a backend, which needs no telling beforehand."""
        return f"{self.root(backend)}/v1"

    def root(self, backend: str = "") -> str:
        """The address that a backend's paths begin with, as clients of Anthropic and Azure want it: without /v1."""
        return f"http://{self.host}:{self.port}/{backend}" if backend else f"http://{self.host}:{self.port}"

    def script(self, backend: str, *scripts: Script) -> None:
        """Play these from the next POST to the backend on, one per request; the last is used for all that follow."""
        self._scripts[backend] = deque(scripts)

    def script_by(self, backend: str, choose: Callable[[Seen], Script]) -> None:
        """Let `choose`, called on the stand-in's loop, say how each POST to the backend is answered."""
        self._choices[backend] = choose

    def take(self, seen: Seen) -> Script:
        """Remember a request and say how to answer it. Only POSTs use up a script."""
        self.counts[seen.backend] += 1
        with self._changed:  # others read the list from their threads
            self._seen.append(seen)
            self._changed.notify_all()
        if seen.method != "POST":
            return Script()
        if seen.backend in self._choices:
            return self._choices[seen.backend](seen)
        scripts = self._scripts.get(seen.backend)
        if not scripts:
            return Script()
        return scripts.popleft() if len(scripts) > 1 else scripts[0]

    def seen(self, backend: str | None = None) -> list[Seen]:
        """The requests of a backend (or all), the oldest first; of the last 20,000."""
        with self._changed:
            return [each for each in self._seen if backend is None or each.backend == backend]

    def gate(self, name: str) -> Gate:
        """A gate by its name; made, and shut, when first asked for."""
        return self._gates.setdefault(name, Gate())

    def open_gate(self, name: str, steps: int = WIDE_OPEN) -> None:
        """Let the answers that wait at a gate go on: step 1 is the head, step 2 the first chunk, and so on."""
        self._loop.call_soon_threadsafe(self.gate(name).open, steps)

    def changed(self) -> None:
        """Something was seen: wake those who wait."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, condition: Callable[[Self], object], *, seconds: float = 20.0) -> None:
        """Block this thread, which is not the stand-in's, until the condition holds. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while not condition(self):
            with self._changed:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"Not seen within {seconds:g} s; the last requests: {self.seen()[-5:]}")
                # Bounded, because the condition may have come true between the look and the wait.
                self._changed.wait(min(left, 0.05))
