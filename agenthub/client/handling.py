"""What an agent does with the messages to it: one after another, once each, with the answer that its asker reads."""

import asyncio
import contextvars
import inspect
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agenthub.client.connection import Connection
from agenthub.client.frames import frame_text
from agenthub.client.memory import Memory
from agenthub.client.message import Message, message_of

logger = logging.getLogger("agenthub.client")

PIECE_CHARACTERS = 4 * 1024
"""Of a piece of a stream: whatever they are, they fit into the 16 KiB that the hub takes."""

ANSWER_BYTES = 60 * 1024
"""Of one answer: the rest of a frame is for its envelope."""

Handler = Callable[..., Any]
Answer = tuple[str, str, str]  # local_id, frame, and what is sent right behind it


@dataclass(frozen=True, slots=True)
class Command:
    """Something that an agent can be asked for."""

    name: str
    handler: Handler
    help: str = ""
    args: str = ""
    concurrent: bool = False

    @property
    def line(self) -> str:
        """What the help says of it."""
        called = f"{self.name} {self.args}".strip()
        return f"{called} – {self.help}" if self.help else called


class Owner(Protocol):
    """The agent whose messages are handled."""

    commands: dict[str, Command]
    fallback: Handler | None
    state: dict[str, Any]

    @property
    def help(self) -> str:
        """Its commands, as text."""

    def log(self, level: str, text: str) -> None:
        """Report to people."""


@dataclass(slots=True)
class _Handled:
    """The message that a handler works on."""

    message: Message
    sent: int = 0


_handled: contextvars.ContextVar[_Handled | None] = contextvars.ContextVar("agenthub_handled", default=None)


def local_id_here() -> str | None:
    """The name for the next message of the handler that runs, the same in each try of it: what a killed try has sent is
    not sent again. None outside of handlers."""
    handled = _handled.get()
    if handled is None:
        return None
    handled.sent += 1
    return f"s.{handled.message.epoch}.{handled.message.seq}.{handled.sent}"


class Handling:
    """Handles what arrives. `connection` is set before `run`."""

    connection: Connection

    def __init__(self, owner: Owner, memory: Memory) -> None:
        self._owner = owner
        self._memory = memory
        self._waiting: deque[str] = deque()
        self._come = asyncio.Event()
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._canceled: set[str] = set()
        self._ends = False
        self.arrived(memory.waiting())

    def arrived(self, frames: Sequence[str]) -> None:
        """These have been written down."""
        for text in frames:
            if '"CANCEL"' in text and (frame := json.loads(text))["type"] == "CANCEL":
                # It is not kept waiting behind what it is to end.
                self._cancel(str(frame.get("task_id", "")))
            self._waiting.append(text)
        self._come.set()

    def beat(self) -> dict[str, Any]:
        """What heartbeats say."""
        task = next(iter(self._tasks), "")
        return {"status": "busy" if self._running else "idle", **({"task_id": task} if task else {})}

    async def run(self) -> None:
        """Handle, for ever."""
        while True:
            await self._come.wait()
            self._come.clear()
            while self._waiting and not self._ends:
                await self._begin(message_of(json.loads(self._waiting.popleft())))

    async def drain(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._ends = True
        while self._running:
            await asyncio.wait(self._running.values())

    async def cancel(self) -> None:
        """End what runs; it is handled again the next time."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _cancel(self, task_id: str) -> None:
        running = self._tasks.get(task_id)
        if running is not None:
            running.cancel(task_id)
        elif any(json.loads(text).get("task_id") == task_id for text in self._waiting):
            self._canceled.add(task_id)

    async def _begin(self, message: Message) -> None:
        if message.type == "CANCEL":
            await asyncio.to_thread(self._memory.finish, message.epoch, message.seq)
            return
        command = self._owner.commands.get(message.words[0]) if message.words else None
        task = asyncio.create_task(self._handle(message, command))
        self._running[message.epoch, message.seq] = task
        if message.task_id:
            self._tasks[message.task_id] = task
        task.add_done_callback(lambda _: self._ended(message))
        if command is None or not command.concurrent:
            await asyncio.wait({task})

    def _ended(self, message: Message) -> None:
        self._running.pop((message.epoch, message.seq), None)
        self._tasks.pop(message.task_id, None)

    async def _handle(self, message: Message, command: Command | None) -> None:
        """Run the handler of a message, and keep what comes of it in one step."""
        _handled.set(_Handled(message))
        status, answers = "completed", list[Answer]()
        if message.task_id in self._canceled:
            self._canceled.discard(message.task_id)
            status = "canceled"
        elif not message.is_over():
            try:
                answers = await self._answers(message, command)
            except asyncio.CancelledError as cancelled:
                if not message.task_id or message.task_id not in cancelled.args:
                    raise  # the agent stops: the message is handled again the next time
                status = "canceled"
            except Exception as problem:  # the edge: one message that fails must not end the agent
                logger.exception("handler_failed")
                status, answers = "failed", self._final(message, f"That failed: {problem}", stream_id="")
                self._owner.log("ERROR", f"{message.text[:100]!r} failed: {type(problem).__name__}: {problem}")
        if message.task_id:
            answers = [*answers, _task_answer(message, status)]
        await asyncio.to_thread(
            self._memory.finish, message.epoch, message.seq, answers=answers, state=self._owner.state
        )
        self.connection.announce()

    async def _answers(self, message: Message, command: Command | None) -> list[Answer]:
        if command is not None:
            called = _call(command.handler, message, *message.words[1:])
        elif self._owner.fallback is not None:
            called = _call(self._owner.fallback, message)
        else:
            called = _said(self._owner.help)
        stream_id = f"r.{message.epoch}.{message.seq}" if message.is_from_person else ""
        answer = await self._collect(called, message, stream_id)
        return self._final(message, answer, stream_id=stream_id) if answer is not None else []

    async def _collect(self, called: Any, message: Message, stream_id: str) -> Any:
        """The whole answer; people see its pieces as they come."""
        if not isinstance(called, AsyncIterator):
            whole = await called
            if stream_id and isinstance(whole, str):
                await self._pieces(message, stream_id, whole, 0)
            return whole
        parts, idx = list[str](), 0
        async for part in called:
            parts.append(str(part))
            if stream_id:
                idx = await self._pieces(message, stream_id, str(part), idx)
        return "".join(parts)

    async def _pieces(self, message: Message, stream_id: str, text: str, idx: int) -> int:
        for start in range(0, len(text), PIECE_CHARACTERS):
            frame = {
                "type": "CHAT_STREAM",
                "target_id": message.sender_id,
                "stream_id": stream_id,
                "idx": idx,
                "payload": text[start : start + PIECE_CHARACTERS],
                "reply_to": message.id,
            }
            await self.connection.send_now(_in_thread_of(message, frame))
            idx += 1
        return idx

    def _final(self, message: Message, answer: Any, *, stream_id: str) -> list[Answer]:
        """The answer as a message; for people with the end of its stream behind it."""
        payload = cut(answer, ANSWER_BYTES) if isinstance(answer, str) else answer
        local_id, end = f"r.{message.epoch}.{message.seq}", ""
        frame: dict[str, Any] = {
            "type": "CHAT",
            "target_id": message.sender_id,
            "payload": payload if isinstance(payload, str | Mapping) else str(payload),
            "reply_to": message.id,
            "local_id": local_id,
        }
        if stream_id:
            frame["stream_id"] = stream_id
            end = frame_text({"type": "CHAT_STREAM_END", "target_id": message.sender_id, "stream_id": stream_id})
        return [(local_id, frame_text(_in_thread_of(message, frame)), end)]


def _call(handler: Handler, *args: Any) -> Any:
    if inspect.isasyncgenfunction(handler) or inspect.iscoroutinefunction(handler):
        return handler(*args)
    return asyncio.to_thread(handler, *args)


async def _said(text: str) -> str:
    return text


def _in_thread_of(message: Message, frame: dict[str, Any]) -> dict[str, Any]:
    return frame if message.conversation_id is None else {**frame, "conversation_id": message.conversation_id}


def _task_answer(message: Message, status: str) -> Answer:
    local_id = f"t.{message.epoch}.{message.seq}"
    frame = {"type": "TASK", "task_id": message.task_id, "status": status, "target_id": message.sender_id}
    return local_id, frame_text({**frame, "reply_to": message.id, "local_id": local_id}), ""


def cut(text: str, most: int) -> str:
    """At most so many bytes, without half a character."""
    raw = text.encode()
    return text if len(raw) <= most else raw[: most - 3].decode(errors="ignore") + "…"
