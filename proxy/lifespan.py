"""Starts what the proxy of a web process needs, and stops it in the right order."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings as django_settings
from django.db import DatabaseError, InterfaceError

from agenthub.core import clock
from agenthub.core.bridge import in_thread
from agenthub.core.clock import utc_now
from agenthub.core.environment import Environment
from agenthub.core.events import LoopTurned, RoutingChanged, publish, subscribe
from agenthub.core.timezones import time_zone
from providers.services.cooldowns import cooldowns_expire
from proxy import metrics, runtime, snapshot
from proxy.cache import MemoryCache
from proxy.idempotency import Idempotency, MemoryIdempotency
from proxy.journal import Journal
from proxy.repeats import MOST_RECORDED_BYTES, Repeats
from proxy.runtime import Runtime
from proxy.snapshot import Snapshot
from proxy.spend_selectors import spent_picousd
from proxy.state.memory import MemoryState
from proxy.upstream import ConnectionPool

if TYPE_CHECKING:
    from proxy.state.redis import SharedState

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Other processes' changes are in force after this time at the latest: a revoked key must be dead within a second."""

SPENT_SECONDS = 2.0
"""How often a process asks what others have spent by the keys that it serves."""

PRUNE_SECONDS = 10.0
GAUGE_SECONDS = 1.0


@asynccontextmanager
async def proxy_lifespan() -> AsyncIterator[Runtime]:
    """The runtime of this process, from its first snapshot to its last record."""
    environment = django_settings.ENVIRONMENT
    first = await in_thread(snapshot.load)
    journal = Journal(environment.journal_dir, max_bytes=first.settings.journal_max_bytes)
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    shared = _shared(environment, first, changed.set) if environment.redis_url is not None else None
    made = Runtime(
        snapshot=first,
        state=MemoryState(processes=environment.workers) if shared is None else shared.backends,
        shared=shared,
        journal=journal,
        uploads_dir=environment.uploads_dir,
        repeats=_repeats(environment.redis_url, first),
        pool=ConnectionPool(allow_private=environment.allow_private_upstreams),
        sync_always=environment.journal_sync == "always",
    )
    made.limits.seed(
        first.callers,
        await in_thread(partial(_spent, first)),
        now=clock.monotonic_seconds(),
        epoch=clock.epoch_seconds(),
    )
    if shared is not None:
        await shared.connect()
    runtime.install(made)

    def notice(_: RoutingChanged) -> None:
        loop.call_soon_threadsafe(changed.set)

    unsubscribe = subscribe(RoutingChanged, notice)
    loops = [
        asyncio.create_task(_follow(made, changed), name="snapshot"),
        asyncio.create_task(made.reporter.run(), name="reporter"),
        asyncio.create_task(_tidy(made), name="tidy"),
    ]
    if shared is not None:
        loops.append(asyncio.create_task(shared.run(made.room), name="shared state"))
    _spare_the_collector()
    try:
        yield made
    finally:
        unsubscribe()
        if shared is not None:
            await shared.aclose()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await made.reporter.drained()
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await made.repeats.aclose()
        made.pool.close()
        made.metrics.flush()
        journal.close()
        runtime.install(None)


def _repeats(redis_url: str | None, first: Snapshot) -> Repeats:
    if redis_url is None:
        return Repeats(MemoryCache(first.settings.response_cache_max_bytes), Idempotency(MemoryIdempotency()))
    from proxy.redis_cache import RedisCache  # noqa: PLC0415 - embedded hubs are spared the Redis client
    from proxy.redis_idempotency import RedisIdempotency  # noqa: PLC0415

    # Hubs that share a Redis have secrets of their own, and so names of their own in it.
    prefix = first.pepper.hex()[:8] + ":"
    return Repeats(
        RedisCache(redis_url, prefix=prefix, most_bytes_per_entry=MOST_RECORDED_BYTES),
        Idempotency(RedisIdempotency(redis_url, prefix=prefix)),
    )


def _shared(environment: Environment, first: Snapshot, changed: Callable[[], None]) -> "SharedState":
    from proxy.state.redis import SharedState  # noqa: PLC0415 - embedded hubs are spared the Redis client

    return SharedState(
        environment.redis_url or "", prefix=first.pepper.hex()[:8], processes=environment.workers, changed=changed
    )


def _spare_the_collector() -> None:
    """What has been loaded stays: it need not be looked through again at each collection. Requests leave few cycles,
    so that collections may be rarer than Python's default of one in 700 allocations."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _follow(made: Runtime, changed: asyncio.Event) -> None:
    """Keep the snapshot true: at once after a change of this process, within a second after one of another."""
    while True:
        with suppress(TimeoutError):
            # Never slower than a revoked key allows, whatever bound the operator has set for the rest.
            async with asyncio.timeout(min(POLL_SECONDS, made.snapshot.settings.router_refresh_interval_seconds)):
                await changed.wait()
        changed.clear()
        try:
            found, spent = await in_thread(_catch_up)
        except (DatabaseError, InterfaceError) as problem:
            # Keys and routes stay as they were known last: a database that is away is no reason to refuse anybody.
            logger.warning("snapshot_stale", extra={"reason": str(problem)})
            continue
        except Exception:
            # The edge of this loop: it must go on, whatever one reading has met.
            logger.exception("snapshot_failed")
            continue
        publish(LoopTurned("routing"))
        if found is not made.snapshot:
            # In one step, so that what /v1/models lists and what is served never differ.
            made.apply(snapshot.install(found))
        if spent is not None:
            made.limits.seed(found.callers, spent, now=clock.monotonic_seconds(), epoch=clock.epoch_seconds())


def _catch_up() -> tuple[Snapshot, dict[str, int] | None]:
    """What has changed, and what keys have spent where this process may not know it."""
    now = utc_now()
    ends = (backend.cooldown_until for backend in snapshot.current().routing.by_id.values())
    if any(end is not None and end <= now.timestamp() for end in ends):
        cooldowns_expire(now)
    known = snapshot.current()
    found = snapshot.newest()
    changed = found.callers is not known.callers or found.settings is not known.settings
    if not changed and not _others_may_have_spent():
        return found, None
    try:
        return found, _spent(found)
    except OSError as problem:
        # A journal that can't be read is no reason to go on with keys that were revoked.
        logger.error("spending_unknown", extra={"reason": str(problem)})
        return found, None


def _spent(found: Snapshot) -> dict[str, int]:
    """What each key with a budget has spent in its period, as the ledger tells."""
    zone = time_zone(found.settings.budget_time_zone)
    return spent_picousd(found.callers, now=utc_now(), time_zone=zone)


_asked_at = float("-inf")


def _others_may_have_spent() -> bool:
    """Whether it is time to ask what other processes have spent by the same keys, where there may be others."""
    global _asked_at  # noqa: PLW0603 - one question per process
    environment, now = django_settings.ENVIRONMENT, clock.monotonic_seconds()
    if (environment.workers == 1 and not environment.distributed) or now - _asked_at < SPENT_SECONDS:
        return False
    _asked_at = now
    return True


async def _tidy(made: Runtime) -> None:
    """End idle upstream connections, and keep the gauges true."""
    steps = 0
    while True:
        await asyncio.sleep(GAUGE_SECONDS)
        made.metrics.flush()
        metrics.inflight.set(made.inflight)
        metrics.queue_depth.set(made.room.depth)
        if made.sharing is not None:
            for state in ("shared", "local"):
                metrics.shared_state.labels(state).set(state == made.sharing)
        steps += 1
        if steps % int(PRUNE_SECONDS / GAUGE_SECONDS) == 0:
            made.pool.prune()
