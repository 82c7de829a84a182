"""How the gateways of several processes wake each other: hints, and what is not stored. Losing one loses no message."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, Protocol

import msgspec

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
MOST_WAITING = 10_000
"""Words that may wait for Redis; what comes beyond them is dropped, as when it is away."""


Audience = int | Literal["administrators", "approvers", "everybody"]
"""Which people a frame is for: those who see an agent, by its number, or those of a word."""


class Bell(Protocol):
    """Tells other processes."""

    heard: Callable[..., None]

    @property
    def is_shared(self) -> bool:
        """Whether others hear at this moment."""

    def ring(self, participant_id: int, head: int) -> None:
        """There is a message for somebody."""

    def relay(self, kind: str, participant_id: int, text: str, legacy: str | None = None) -> None:
        """A frame for somebody who may be connected elsewhere."""

    def broadcast(self, text: str, legacy: str | None, audience: Audience, topic: str) -> None:
        """A frame for the people who may see it."""

    def session(self, agent_id: int) -> None:
        """An agent has a new connection."""


def _deaf(*_: Any) -> None:
    return None


class NoBell:
    """The bell of a process that has no others, or no Redis to reach them by."""

    is_shared = False

    def __init__(self) -> None:
        self.heard: Callable[..., None] = _deaf

    def ring(self, participant_id: int, head: int) -> None:
        """Nobody hears."""

    def relay(self, kind: str, participant_id: int, text: str, legacy: str | None = None) -> None:
        """Nobody hears."""

    def broadcast(self, text: str, legacy: str | None, audience: Audience, topic: str) -> None:
        """Nobody hears."""

    def session(self, agent_id: int) -> None:
        """Nobody hears."""


class RedisBell:
    """One topic of Redis for all processes of all hubs of one database. What one loop turn says goes in one call."""

    def __init__(self, url: str, *, name: str) -> None:
        self.heard: Callable[..., None] = _deaf
        self._url = url
        self._topic = f"{name}:hub"
        self._me = hashlib.sha256(repr((id(self), asyncio.get_running_loop().time())).encode()).digest()[:8]
        self._rings: dict[int, int] = {}
        self._words: list[tuple[Any, ...]] = []
        self._said = asyncio.Event()
        self._shared = False

    @property
    def is_shared(self) -> bool:
        """Whether others hear at this moment."""
        return self._shared

    def ring(self, participant_id: int, head: int) -> None:
        """There is a message for somebody."""
        self._rings[participant_id] = head
        self._said.set()

    def relay(self, kind: str, participant_id: int, text: str, legacy: str | None = None) -> None:
        """A frame for somebody who may be connected elsewhere."""
        self._say(kind, participant_id, text, legacy)

    def broadcast(self, text: str, legacy: str | None, audience: Audience, topic: str) -> None:
        """A frame for the people who may see it."""
        self._say("viewers", text, legacy, audience, topic)

    def session(self, agent_id: int) -> None:
        """An agent has a new connection."""
        self._say("session", agent_id)

    def _say(self, *word: Any) -> None:
        if self._shared and len(self._words) < MOST_WAITING:
            # What was rung before it must be heard before it.
            self._flush_rings()
            self._words.append(word)
            self._said.set()

    def _flush_rings(self) -> None:
        if self._rings:
            self._words.append(("ring", list(self._rings.items())))
            self._rings = {}

    async def run(self) -> None:
        """Listen and speak, for ever."""
        from redis.asyncio import Redis  # noqa: PLC0415 - embedded hubs are spared the Redis client
        from redis.exceptions import RedisError  # noqa: PLC0415

        while True:
            try:
                async with (
                    Redis.from_url(self._url, socket_timeout=None, socket_connect_timeout=5) as ears,
                    Redis.from_url(self._url, socket_timeout=5) as mouth,
                    ears.pubsub() as news,
                ):
                    await news.subscribe(self._topic)
                    self._shared = True
                    await self._both(news, mouth)
            except (RedisError, OSError) as problem:
                if self._shared:
                    logger.warning("bell_away", extra={"reason": str(problem)})
            self._shared = False
            self._words.clear()
            self._rings.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _both(self, news: Any, mouth: Any) -> None:
        tasks = [asyncio.create_task(self._listen(news)), asyncio.create_task(self._speak(mouth))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, news: Any) -> None:
        async for message in news.listen():
            if message["type"] != "message":
                continue
            with suppress(msgspec.DecodeError, ValueError, TypeError):  # another version's
                sender, words = msgspec.msgpack.decode(message["data"])
                if sender == self._me:
                    continue
                for word in words:
                    self.heard(*word)

    async def _speak(self, mouth: Any) -> None:
        while True:
            await self._said.wait()
            self._said.clear()
            self._flush_rings()
            words, self._words = self._words, []
            if words:
                await mouth.publish(self._topic, msgspec.msgpack.encode((self._me, words)))
