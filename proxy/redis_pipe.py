"""One connection to Redis on which any number of calls are under way, in the order of their making.

What is called in one turn of the event loop goes out in one write; what can wait goes out with the next call that
can't, or a few milliseconds later. A call that is not answered in time ends the connection: nobody can know any more
what has been carried out, and who calls next need not wait. Only what needs Redis imports this.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from proxy.redis_link import CALL_SECONDS, RedisAway
from proxy.state.scripts import Script

logger = logging.getLogger(__name__)

OPEN_SECONDS = 1.0
"""How long a connection may take until it can be used."""

LINGER_SECONDS = 0.003
"""How long a call that nobody waits for may wait for others to go out with."""

_LAST_LOOKS = 4
"""Turns of the loop in which a late answer that has already come may still be read."""

Then = Callable[[Any], None]
"""Gets the unpacked answer of a call, or None if there is none: whether it was carried out is then unknown."""


class _Call:
    __slots__ = ("argument", "due", "keys", "script", "then")

    def __init__(self, script: Script, keys: Sequence[bytes], argument: bytes, then: Then, due: float) -> None:
        self.script = script
        self.keys = keys
        self.argument = argument
        self.then = then
        self.due = due


class RedisPipe:
    """Belongs to an event loop. `on_lost` hears why a connection has ended, once for each that was open."""

    def __init__(
        self,
        url: str,
        *,
        scripts: Sequence[Script],
        on_lost: Callable[[str], None],
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, retry=Retry(NoBackoff(), 0))
        self._scripts = scripts
        self._on_lost = on_lost
        self._call_seconds = call_seconds
        self._connection: AbstractConnection | None = None
        self._buffer: list[bytes] = []
        self._waiting: deque[_Call] = deque()  # in the order of their answers
        self._flushes_at: float | None = None
        self._flush_timer: asyncio.Handle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._written = asyncio.Event()  # something is to be written

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect, and have Redis know the scripts. Raises RedisAway."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
                for script in self._scripts:
                    await connection.send_command("SCRIPT", "LOAD", script.source)
                for _ in self._scripts:
                    await connection.read_response(disable_decoding=True, timeout=math.inf)
        except (RedisError, OSError) as problem:
            await connection.disconnect(nowait=True)
            raise RedisAway(str(problem) or f"no answer within {OPEN_SECONDS} s") from problem
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        self._written.clear()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._write(connection), name="redis writer"),
            loop.create_task(self._read(connection), name="redis reader"),
        ]

    @staticmethod
    def future() -> "asyncio.Future[Any]":
        """Something that an answer can be put into."""
        return asyncio.get_running_loop().create_future()

    def call(self, script: Script, keys: Sequence[bytes], argument: bytes, then: Then, *, at_once: bool = True) -> None:
        """Run a script. `then` is called with its answer, or with None when the connection is or gets lost."""
        if self._connection is None:
            then(None)
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        linger = 0.0 if at_once else LINGER_SECONDS
        self._append(_Call(script, keys, argument, then, now + linger + self._call_seconds), by_digest=True)
        if self._flushes_at is None or now + linger < self._flushes_at:
            self._flush_at(now + linger, linger)

    def _append(self, call: _Call, *, by_digest: bool) -> None:
        how, what = (b"EVALSHA", call.script.digest) if by_digest else (b"EVAL", call.script.source)
        parts = (how, what, b"%d" % len(call.keys), *call.keys, call.argument)
        self._buffer.append(
            b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(each), each) for each in parts])
        )
        self._waiting.append(call)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_at(call.due, self._look, _LAST_LOOKS)

    def _flush_at(self, when: float, linger: float) -> None:
        loop = asyncio.get_running_loop()
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self._flushes_at = when
        self._flush_timer = loop.call_later(linger, self._flush) if linger else loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes_at = self._flush_timer = None
        self._written.set()

    async def _write(self, connection: AbstractConnection) -> None:
        try:
            while True:
                await self._written.wait()
                self._written.clear()
                buffer, self._buffer = self._buffer, []
                await connection.send_packed_command(buffer, check_health=False)
        except (RedisError, OSError) as problem:
            self._lose(connection, str(problem))

    async def _read(self, connection: AbstractConnection) -> None:
        try:
            while True:
                try:
                    answer = await connection.read_response(disable_decoding=True, timeout=math.inf)
                except NoScriptError:
                    # Somebody has emptied the scripts of a running Redis.
                    self._append(self._waiting.popleft(), by_digest=False)
                    self._flush()
                    continue
                self._answer(self._waiting.popleft(), msgspec.msgpack.decode(answer))
        except (RedisError, OSError, ResponseError, msgspec.DecodeError) as problem:
            self._lose(connection, str(problem))

    @staticmethod
    def _answer(call: _Call, answer: Any) -> None:
        try:
            call.then(answer)
        except Exception:
            # The edge of a task that serves others too.
            logger.exception("redis_answer_failed")

    def _look(self, looks: int) -> None:
        """Whether the oldest call is overdue. The loop may have been busy: what has come is read first."""
        self._watch = None
        connection = self._connection
        if connection is None or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        due = self._waiting[0].due
        if loop.time() < due:
            self._watch = loop.call_at(due, self._look, _LAST_LOOKS)
        elif looks:
            loop.call_soon(self._look, looks - 1)
        else:
            self._lose(connection, f"no answer within {self._call_seconds} s")

    def _lose(self, connection: AbstractConnection, reason: str) -> None:
        if self._connection is not connection:
            return
        waiting = self._close()
        self._on_lost(reason)
        for call in waiting:
            self._answer(call, None)

    def _close(self) -> list[_Call]:
        connection, self._connection = self._connection, None
        for timer in (self._flush_timer, self._watch):
            if timer is not None:
                timer.cancel()
        self._flush_timer = self._watch = self._flushes_at = None
        waiting, self._buffer = list(self._waiting), []
        self._waiting.clear()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._tasks = []
        if connection is not None:
            self._closing = asyncio.get_running_loop().create_task(connection.disconnect(nowait=True))
        return waiting

    async def aclose(self) -> None:
        """Wait for the answers that are due, and close the connection."""
        self._flush()
        while self._connection is not None and self._waiting:  # noqa: ASYNC110 - once, at the end of a process
            await asyncio.sleep(LINGER_SECONDS)
        for call in self._close():
            self._answer(call, None)
        if self._closing is not None:
            await asyncio.wait((self._closing,))
