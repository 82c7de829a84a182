"""Starts the gateway of a web process, and stops it in the right order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from agenthub.core.bridge import in_thread
from agenthub.core.events import AgentsChanged, ApprovalAnswered, ReportStored, subscribe
from agenthub.hub.gateway.bell import NoBell, RedisBell
from agenthub.hub.gateway.door import Door
from agenthub.hub.gateway.facts import facts
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.gateway.upkeep import Upkeep
from agenthub.hub.gateway.writer import Writer
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import frame_text
from agenthub.hub.services.sessions import acks_save

OVERLAP_SECONDS = 2.0
"""How long clients are given to connect to another process before their connection here ends."""

SAY_SECONDS = 1.0

_here: list[Gateway] = []


def current() -> Gateway | None:
    """The gateway of this process, while it runs."""
    return _here[0] if _here else None


@asynccontextmanager
async def gateway_lifespan() -> AsyncIterator[Door]:
    """The door of this process's gateway, from its first connection to the last message on the disk."""
    environment, loop = settings.ENVIRONMENT, asyncio.get_running_loop()
    alone = environment.workers == 1 and not environment.distributed
    bell = RedisBell(environment.redis_url, name=environment.name_on_redis) if environment.redis_url else NoBell()
    writer = Writer(loop)
    gateway = Gateway(known=await in_thread(facts), writer=writer, bell=bell)
    unsubscribe = [
        subscribe(AgentsChanged, lambda _: _soon(loop, gateway.stale.set)),
        subscribe(ReportStored, lambda news: _soon(loop, partial(gateway.report_stored, news))),
        subscribe(ApprovalAnswered, lambda news: _soon(loop, partial(gateway.answered_by_http, news))),
    ]
    upkeep = Upkeep(gateway, alone=alone)
    tasks = [asyncio.create_task(each, name="hub upkeep") for each in upkeep.loops()]
    if isinstance(bell, RedisBell):
        tasks.append(asyncio.create_task(bell.run(), name="hub bell"))
    _here.append(gateway)
    try:
        yield Door(gateway)
    finally:
        _here.remove(gateway)
        for end in unsubscribe:
            end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await in_thread(writer.close)
        with suppress(DatabaseError, InterfaceError):
            await in_thread(acks_save, gateway.acked)


async def drain(gateway: Gateway, *, elsewhere: bool) -> None:
    """Send everybody away: to another process, which they reach before they leave, or until the hub is back."""
    gateway.draining = True
    if elsewhere and gateway.connections:
        for connection in gateway.all():
            if not connection.legacy:
                after_ms = random.randrange(int(OVERLAP_SECONDS * 500))
                connection.control(frame_text({"v": 1, "type": "RECONNECT", "after_ms": after_ms}))
        await asyncio.sleep(OVERLAP_SECONDS)
    closing = list(gateway.all())
    for connection in closing:
        connection.close(1012 if connection.legacy else Close.DRAINING)
    if closing:
        # The server would close them in its own words, which say less.
        with suppress(TimeoutError):
            async with asyncio.timeout(SAY_SECONDS):
                await asyncio.gather(*(connection.finished() for connection in closing))


def _soon(loop: asyncio.AbstractEventLoop, call: object) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(call)  # type: ignore[arg-type]
