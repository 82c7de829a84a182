"""Answers that are given again: out of the response cache, and to who sends the same request twice on purpose."""

from collections.abc import Awaitable, Callable

from agenthub.core.params import RuntimeSettings
from providers.rules.table import NO_ROUTE
from proxy.cache import Cache, MemoryCache
from proxy.client import Headers
from proxy.exchange import Exchange
from proxy.idempotency import Idempotency, Turn
from proxy.recording import Recorded, Recording, RecordingClient, replay
from proxy.rules.cache_key import SHARED, CacheUse, cache_key, may_cache, private_scope
from proxy.rules.idempotency import request_fingerprint

MOST_RECORDED_BYTES = 8 * 1024 * 1024
IDEMPOTENCY_KEY = b"idempotency-key"

Produce = Callable[[], Awaitable[None]]
"""Has the request answered, by whatever client the exchange then has."""


class Repeats:
    """What this process, or all of them together, can give again."""

    def __init__(self, cache: Cache, idempotency: Idempotency) -> None:
        self.cache = cache
        self.idempotency = idempotency

    def apply(self, settings: RuntimeSettings) -> None:
        """Keep to these settings from now on."""
        if isinstance(self.cache, MemoryCache):
            self.cache.resize(settings.response_cache_max_bytes)

    async def aclose(self) -> None:
        """End what is under way."""
        await self.idempotency.aclose()
        await self.cache.aclose()


def repeatable(exchange: Exchange) -> bool:
    """Whether an answer that was given before is to be looked for, or this one to be kept."""
    if IDEMPOTENCY_KEY in exchange.header:
        return exchange.form is None and exchange.endpoint.method == "POST"
    return _cache_seconds(exchange) > 0


def _cache_seconds(exchange: Exchange) -> int:
    if not exchange.body or not exchange.intake.model:
        return 0
    route = exchange.runtime.snapshot.routing.routes.get(exchange.intake.model, NO_ROUTE)
    return route.cache_seconds or exchange.caller.cache_seconds


async def answer_repeatably(exchange: Exchange, produce: Produce) -> None:
    """Give the answer that was given before, or have one made and keep it."""
    turn: Turn | None = None
    key = exchange.header.get(IDEMPOTENCY_KEY)
    if key is not None:
        turn = await exchange.runtime.repeats.idempotency.begin(
            exchange.caller.id, key.decode("latin-1"), request_fingerprint(exchange.endpoint.name, exchange.body)
        )
        if turn.recorded is not None:
            await _give_again(exchange, turn.recorded, (b"idempotent-replayed", b"true"))
            return
    recording = Recording(MOST_RECORDED_BYTES)
    try:
        exchange.client = RecordingClient(exchange.client, recording)
        await _by_cache(exchange, produce, recording)
    finally:
        if turn is not None:
            turn.settle(recording)


async def _by_cache(exchange: Exchange, produce: Produce, recording: Recording) -> None:
    seconds, cache = _cache_seconds(exchange), exchange.runtime.repeats.cache
    use = CacheUse.NONE
    if seconds:
        use = may_cache(endpoint=exchange.endpoint.name, envelope=exchange.intake.envelope, header=exchange.header)
    if not use.writes:
        await produce()
        return
    key = _key(exchange)
    found = await cache.get(key) if use.reads else None
    if found is not None:
        await _give_again(exchange, found, (b"x-agenthub-cache", b"hit"))
        return
    exchange.own_headers.append((b"x-agenthub-cache", b"miss"))
    await produce()
    result = recording.result()
    if result is not None and result.status == 200:
        cache.put(key, result, seconds)


def _key(exchange: Exchange) -> bytes:
    intake, routes = exchange.intake, exchange.runtime.snapshot.routing.routes
    route = routes.get(intake.model, NO_ROUTE)
    return cache_key(
        # What an operator turns on for a model is for all who may use it; what is on for a key is its own.
        scope=SHARED if route.cache_seconds else private_scope(exchange.caller.id),
        endpoint=exchange.endpoint.name,
        model=route.target or intake.model,
        envelope=intake.envelope,
        stream=intake.stream,
        wants_usage=intake.wants_usage,
        headers=exchange.headers,
    )


async def _give_again(exchange: Exchange, recorded: Recorded, mark: tuple[bytes, bytes]) -> None:
    await exchange.end(recorded.status)
    extra: Headers = [*exchange.routing_headers(), mark]
    await replay(exchange.client, recorded, extra)
