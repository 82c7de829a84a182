"""An agent in ten lines:

from agenthub.client.agent import Agent

agent = Agent("http://127.0.0.1:9190", "aht_…")

@agent.command("hello", help="Greets.")
async def hello(message, *names):
    return f"Hello {' '.join(names) or message.sender_name}!"

agent.run()
"""

import asyncio
import inspect
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from agenthub.client.connection import Connection
from agenthub.client.frames import NotTaken, Stopped, frame_text
from agenthub.client.handling import Command, Handler, Handling, cut, local_id_here
from agenthub.client.memory import Memory, new_local_id
from agenthub.client.message import Message

logger = logging.getLogger("agenthub.client")

SDK = "agenthub.client/1"
DRAIN_SECONDS = 10.0
MOST_LOGS = 500

H = TypeVar("H", bound=Handler)


class Agent:
    """A program that works for people of a hub: commands come, answers go, and a kill loses neither.

    `url` is the hub's address, by default AGENTHUB_URL; `token` the agent's, by default AGENTHUB_AGENT_TOKEN.
    `state_dir` is the folder of what it must not forget, by default one per agent below ~/.local/state/agenthub;
    ":memory:" keeps it in memory, where a kill loses it.

    Handlers run one after another in the order of the messages, but for those of commands that are declared
    `concurrent`. A handler may be a function (run in a thread), a coroutine function, or an async generator whose
    pieces people see as they come. What it returns is the answer; what it raises is told to who asked. `agent.state`
    is a dictionary that is saved in one step with the end of each handler: after a kill the message is handled again,
    with the state as it was before.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        name: str = "agent",
        version: str = "0",
        state_dir: str | Path | None = None,
        capabilities: tuple[str, ...] = (),
    ) -> None:
        self.url = url or os.environ.get("AGENTHUB_URL") or "http://127.0.0.1:9190"
        self.token = token or os.environ.get("AGENTHUB_AGENT_TOKEN") or ""
        if not self.token:
            raise ValueError("The agent needs its token: pass it, or set AGENTHUB_AGENT_TOKEN.")
        self.name, self.version = name, version
        self.state: dict[str, Any] = {}
        self.open_tasks: list[dict[str, Any]] = []
        self.welcome: Mapping[str, Any] = {}
        self._capabilities = capabilities
        self._folder = _folder(state_dir, self.token)
        self.commands: dict[str, Command] = {}
        self.fallback: Handler | None = None
        self._on_connect: list[Callable[[], Awaitable[None] | None]] = []
        self._logs: deque[dict[str, Any]] = deque(maxlen=MOST_LOGS)
        self._memory: Memory | None = None
        self._connection: Connection | None = None
        self._handling: Handling | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeping = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()
        self._ends = asyncio.Event()

    # What people write

    def command(self, name: str, *, help: str = "", args: str = "", concurrent: bool = False) -> Callable[[H], H]:  # noqa: A002 - the word of the protocol
        """Handle a command: `name arg "another arg"`. The handler gets the message and the arguments."""

        def join(handler: H) -> H:
            first_line = (inspect.getdoc(handler) or "").partition("\n")[0]
            self.commands[name] = Command(name, handler, help or first_line, args, concurrent)
            return handler

        return join

    def message(self, handler: H) -> H:
        """Handle every message that is no command. Without such a handler the answer is the list of commands."""
        self.fallback = handler
        return handler

    def connected(self, handler: Callable[[], Awaitable[None] | None]) -> Callable[[], Awaitable[None] | None]:
        """Do something each time the hub has welcomed the agent."""
        self._on_connect.append(handler)
        return handler

    @property
    def help(self) -> str:
        """The commands, as text."""
        lines = [
            f"{each.name} {each.args}".strip() + (f" – {each.help}" if each.help else "")
            for each in self.commands.values()
        ]
        return "\n".join(["Commands:", *lines]) if lines else "I have no commands."

    # What handlers and programs use

    async def send(
        self,
        target_id: int,
        payload: str | Mapping[str, Any],
        *,
        wait: bool = False,
        local_id: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Send a message; it is written down first and sent until the hub has it. With `wait`, the answer is the hub's
        ACK. A `local_id` of your own makes it one message, however often it is sent. Raises FrameTooLarge and
        OutboxFull at once, NotTaken with `wait`."""
        frame = {"type": "CHAT", "target_id": target_id, "payload": payload, **fields}
        return await self._store(frame, wait=wait, local_id=local_id)

    async def checkpoint(
        self, task_id: str, n: int, state: Mapping[str, Any], note: str = "", *, wait: bool = False
    ) -> dict[str, Any]:
        """Keep the state of a task on the hub; the last one of each open task comes back in `open_tasks`."""
        frame = {"type": "CHECKPOINT", "task_id": task_id, "n": n, "state": state, "note": note}
        return await self._store(frame, wait=wait)

    async def task(self, task_id: str, status: str, *, target_id: int | None = None, **fields: Any) -> None:
        """Say how a task stands: submitted, working, input_required, completed, failed, canceled or rejected."""
        frame = {"type": "TASK", "task_id": task_id, "status": status, **fields}
        await self._store(frame if target_id is None else {**frame, "target_id": target_id}, wait=False)

    def log(self, level: str, text: str, **fields: Any) -> None:
        """Report to people: INFO, SUCCESS, WARNING or ERROR; from any thread. Reports may be lost when the hub is away
        for long."""
        frame: dict[str, Any] = {"type": "SYSTEM_LOG", "level": level, "content": cut(text, 4_000)}
        self._logs.append({**frame, "fields": fields} if fields else frame)
        if self._loop is not None and not self._loop.is_closed():
            # Handlers that are plain functions call this from threads.
            self._loop.call_soon_threadsafe(self._logs_wait)

    def _logs_wait(self) -> None:
        if self._connection is not None and self._connection.connected.is_set():
            self._spawn(self._send_logs())

    async def _store(self, frame: dict[str, Any], *, wait: bool, local_id: str | None = None) -> dict[str, Any]:
        if self._memory is None or self._connection is None:
            raise RuntimeError("The agent is not running: call this from a handler, or after serve() has begun.")
        local_id = local_id or local_id_here() or new_local_id()
        text = frame_text({**frame, "local_id": local_id})
        future = self._connection.result(local_id) if wait else None
        async with self._keeping:  # first come, first kept
            await asyncio.to_thread(self._memory.keep, local_id, text)
        self._connection.announce()
        return await future if future is not None else {"local_id": local_id}

    # Its life

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C. Raises Stopped when the hub does not want this agent, MemoryInUse."""
        asyncio.run(self._run_with_signals())

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, self.stop)
        await self.serve()

    def stop(self) -> None:
        """Let handlers that run end, send what waits, and leave."""
        self._ends.set()

    async def serve(self) -> None:
        """Serve until `stop`. Raises Stopped, MemoryInUse."""
        memory = self._memory = await asyncio.to_thread(Memory, self._folder)
        self._loop = asyncio.get_running_loop()
        self.state = memory.state()
        handling = self._handling = Handling(self, memory)
        connection = self._connection = Connection(
            self.url,
            self.token,
            memory,
            hello=self._hello,
            beat=self._beat,
            arrived=handling.arrived,
            heard=self._heard,
        )
        handling.connection = connection
        stay = asyncio.create_task(connection.run())
        work = asyncio.create_task(handling.run())
        end = asyncio.create_task(self._ends.wait())
        try:
            await asyncio.wait({stay, work, end}, return_when=asyncio.FIRST_COMPLETED)
            for task in (stay, work):
                if task.done():
                    task.result()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await handling.drain()
                    await connection.emptied()
        finally:
            for each in (work, end, *self._background):
                each.cancel()
            await handling.cancel()
            await connection.stop()
            with suppress(Stopped):
                await stay
            await asyncio.gather(work, *self._background, return_exceptions=True)
            await asyncio.to_thread(memory.close)

    def _hello(self) -> dict[str, Any]:
        return {
            "agent": {"name": self.name, "version": self.version, "sdk": SDK},
            "capabilities": list(self._capabilities),
            "commands": [{"name": each.name, "args": each.args, "help": each.help} for each in self.commands.values()],
        }

    def _beat(self) -> dict[str, Any]:
        return self._handling.beat() if self._handling is not None else {}

    def _heard(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "WELCOME":
            self.welcome = frame
            self.open_tasks = frame.get("open_tasks", [])
            self._spawn(self._greeted())
        elif frame.get("type") == "GAP":
            logger.warning("messages %s to %s are lost: %s", frame["from"], frame["to"], frame["reason"])
        elif frame.get("type") == "ERROR":
            logger.warning("the hub says %s: %s", frame.get("code"), frame.get("message"))

    async def _greeted(self) -> None:
        await self._connection.connected.wait()  # type: ignore[union-attr]
        await self._send_logs()
        for handler in self._on_connect:
            found = handler()
            if inspect.isawaitable(found):
                await found

    async def _send_logs(self) -> None:
        while self._logs and self._connection is not None:
            frame = self._logs.popleft()
            if not await self._connection.send_now(frame):
                self._logs.appendleft(frame)
                return

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _folder(state_dir: str | Path | None, token: str) -> Path | None:
    if state_dir == ":memory:":
        return None
    if state_dir is not None:
        return Path(state_dir)
    base = Path(os.environ.get("AGENTHUB_STATE_DIR") or Path.home() / ".local" / "state" / "agenthub" / "agents")
    number = token.split("_")[1] if token.count("_") >= 2 else "unnamed"
    return base / number


__all__ = ["Agent", "Message", "NotTaken", "Stopped"]
