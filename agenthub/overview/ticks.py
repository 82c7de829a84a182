"""The dashboard's stream: computed once per tick for everybody who watches, and not at all while nobody does."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from agenthub.core.bridge import in_thread
from agenthub.core.clock import monotonic_seconds, utc_now
from agenthub.core.params import RuntimeSettings
from agenthub.overview.board import ProcessState, snapshot_event
from agenthub.overview.selectors import Figures, dashboard_figures
from proxy import runtime, snapshot

logger = logging.getLogger(__name__)

_started_at = monotonic_seconds()


class Ticks:
    """A value that is computed again and again while somebody watches it. Belongs to one event loop."""

    def __init__(
        self,
        compute: Callable[[], Awaitable[bytes]],
        *,
        interval_seconds: Callable[[], float],
        drain_began: Callable[[], asyncio.Event | None],
    ) -> None:
        self._compute = compute
        self._interval_seconds = interval_seconds
        self._drain_began = drain_began
        self._watchers = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._arrived = asyncio.Event()  # set once, then replaced: everybody waits for the next one
        self._number = 0
        self._latest: bytes | None = None
        self._ended = False

    async def watch(self) -> AsyncGenerator[bytes, None]:
        """The newest value, then every newer one, until the process drains. Who is slow skips some, delaying nobody."""
        self._enter()
        seen = 0
        try:
            while not self._ended:
                arrived = self._arrived
                if self._latest is not None and self._number > seen:
                    seen = self._number
                    yield self._latest
                else:
                    await arrived.wait()
        finally:
            self._leave()

    def _enter(self) -> None:
        self._watchers += 1
        if self._watchers == 1:
            self._ended = False
            self._arrived = asyncio.Event()
            self._tasks = [asyncio.create_task(self._run(), name="dashboard ticks")]
            drain_began = self._drain_began()
            if drain_began is not None:
                self._tasks.append(asyncio.create_task(self._end_with(drain_began), name="dashboard end"))

    def _leave(self) -> None:
        self._watchers -= 1
        if self._watchers == 0:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            # Whoever comes next would see it as new, however old it is by then.
            self._latest = None

    async def _run(self) -> None:
        while True:
            began = monotonic_seconds()
            try:
                self._latest = await self._compute()
            except Exception:
                # The edge of this loop: the pages show that nothing comes, and the next tick may do better.
                logger.exception("dashboard_tick_failed")
            else:
                self._number += 1
                self._wake()
            await asyncio.sleep(max(0.0, self._interval_seconds() - (monotonic_seconds() - began)))

    async def _end_with(self, drain_began: asyncio.Event) -> None:
        await drain_began.wait()
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()


async def snapshot_frame() -> bytes:
    """The dashboard at this moment as an event of a stream."""
    process = await _process_state()
    now = utc_now()
    return b"data: " + orjson.dumps(snapshot_event(process, await _figures(), now)) + b"\n\n"


async def _process_state() -> ProcessState:
    proxy = runtime.current()
    known = proxy.snapshot if proxy is not None else await in_thread(snapshot.current)
    now = monotonic_seconds()
    entries = known.routing.by_id.items()
    return ProcessState(
        routing=known.routing,
        settings=known.settings,
        views={} if proxy is None else {id_: proxy.state.view(entry, now=now) for id_, entry in entries},
        in_flight=0 if proxy is None else proxy.inflight,
        queue_depth=0 if proxy is None else proxy.room.depth,
        uptime_seconds=now - _started_at,
        workers=settings.ENVIRONMENT.workers,
    )


async def _figures() -> Figures | None:
    try:
        return await in_thread(dashboard_figures, utc_now())
    except (DatabaseError, InterfaceError) as problem:
        logger.warning("dashboard_without_database", extra={"reason": str(problem)})
        return None


def _interval_seconds() -> float:
    proxy = runtime.current()
    settings_now = RuntimeSettings() if proxy is None else proxy.snapshot.settings
    return settings_now.dashboard_sse_interval_seconds


def _drain_began() -> asyncio.Event | None:
    proxy = runtime.current()
    return None if proxy is None else proxy.drain_began


dashboard = Ticks(snapshot_frame, interval_seconds=_interval_seconds, drain_began=_drain_began)
"""The one of this process."""
