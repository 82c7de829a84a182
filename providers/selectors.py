"""Reads of the provider side, joins already made."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Prefetch, QuerySet

from agenthub.core.clock import utc_now
from agenthub.core.crypto import Unreadable, masked
from agenthub.core.money import picodollars_from_usd
from agenthub.core.settings_store import runtime_settings
from agenthub.core.tls import certificate_summary
from providers.models import Backend, BackendHealth, CooldownEvent, ModelMapping, Pool
from providers.models import ModelRoute as RouteRow
from providers.rules.health import stale_after_seconds
from providers.rules.outgoing_proxy import outgoing_proxy_masked
from providers.rules.table import (
    ApiKind,
    BackendEntry,
    BackendStatus,
    ErrorKind,
    HealthState,
    MappingEntry,
    ModelRoute,
    PoolEntry,
    Prices,
    Service,
    Strategy,
    Way,
)
from providers.services.backends import backend_key_checked
from providers.services.keys import (
    CLIENT_CERTIFICATE,
    OUTGOING_PROXY,
    api_key_opened,
    extra_headers_opened,
    secret_opened,
    way_opened,
)

_SERVICES = frozenset(Service)


def routing_pools() -> tuple[PoolEntry, ...]:
    """Every pool with its backends as the proxy needs them, keys opened.

    A backend whose secrets do not open comes as `error` with the kind KEY, and its row is marked so; one that was
    marked so and opens again is unmarked.
    """
    backends: dict[int, list[BackendEntry]] = {}
    since = utc_now() - timedelta(seconds=stale_after_seconds(runtime_settings().health_check_interval_seconds))
    for backend in backends_with_mappings().order_by("id"):
        backends.setdefault(backend.pool_id, []).append(_backend_entry(backend, health_since=since))
    return tuple(
        PoolEntry(pool.name, pool.order, Strategy(pool.strategy), tuple(backends.get(pool.pk, ())))
        for pool in Pool.objects.all()
    )


def _backend_entry(backend: Backend, *, health_since: datetime) -> BackendEntry:
    try:
        api_key, headers, way, problem = api_key_opened(backend), extra_headers_opened(backend), way_opened(backend), ""
    except Unreadable as unreadable:
        api_key, headers, way, problem = "", {}, Way(), str(unreadable)
    backend_key_checked(backend, problem=problem)
    return BackendEntry(
        id=backend.id,
        name=backend.name,
        label=backend.label,
        pool=backend.pool.name,
        base_url=backend.api_base_url.rstrip("/"),
        api=ApiKind(backend.api),
        api_key=api_key,
        extra_headers=tuple(headers.items()),
        way=way,
        services=frozenset(Service(word) for word in backend.services if word in _SERVICES),
        timeout_seconds=backend.timeout_seconds,
        rpm_limit=backend.rpm_limit,
        burst=backend.bucket_capacity,
        tpm_limit=backend.tpm_limit,
        max_concurrency=backend.max_concurrency,
        weight=backend.weight,
        enabled=backend.enabled,
        status=BackendStatus(backend.status),
        error_kind=ErrorKind(backend.error_kind),
        error_reason=backend.error_reason,
        error_since=_epoch(backend.error_since),
        health=_known_health(getattr(backend, "health", None), health_since),
        cooldown_until=_epoch(backend.cooldown_until),
        consecutive_429_count=backend.consecutive_429_count,
        reset_count=backend.reset_count,
        mappings=tuple(_mapping_entry(mapping) for mapping in backend.mappings.all()),
    )


def _known_health(health: BackendHealth | None, since: datetime) -> HealthState:
    """What was found out since then; what is older is unknown, not bad."""
    if health is None or not any(at is not None and at >= since for at in (health.last_check_at, health.live_at)):
        return HealthState.UNKNOWN
    return HealthState(health.state)


def _mapping_entry(mapping: ModelMapping) -> MappingEntry:
    return MappingEntry(
        canonical=mapping.canonical,
        native_id=mapping.native_id or mapping.canonical,
        prices=Prices(
            input=_picodollars(mapping.price_input_usd),
            output=_picodollars(mapping.price_output_usd),
            cache_read=_picodollars(mapping.price_cache_read_usd),
            cache_write=_picodollars(mapping.price_cache_write_usd),
        ),
        reasoning=mapping.reasoning,
        reasoning_effort=mapping.reasoning_effort,
        input_modalities=tuple(mapping.modalities),
        context_window=mapping.context_window,
        max_tokens=mapping.max_tokens,
        first_token_timeout_seconds=mapping.first_token_timeout_seconds,
        compat=mapping.compat,
    )


def model_routes() -> tuple[ModelRoute, ...]:
    """What operators have said of model names, as the proxy needs it."""
    return tuple(
        ModelRoute(
            name=route.name,
            target=route.target,
            fallbacks=tuple(route.fallbacks),
            resume=route.resume,
            cache_seconds=route.cache_seconds,
        )
        for route in RouteRow.objects.order_by("name")
    )


def model_route_warnings(route: RouteRow) -> list[str]:
    """What looks wrong with a route that may be saved all the same."""
    models = list(dict.fromkeys((route.target or route.name, *route.fallbacks)))
    mapped = set(ModelMapping.objects.filter(canonical__in=[route.name, *models]).values_list("canonical", flat=True))
    missing = [model for model in models if model not in mapped]
    warnings = [f"No backend maps the model {model} yet; nothing is served by it until one does." for model in missing]
    if route.target and route.name in mapped:
        warnings.append(f"Backends map {route.name} themselves; by that name they are no longer asked.")
    return warnings


def _picodollars(usd: Decimal | None) -> int | None:
    return None if usd is None else picodollars_from_usd(usd)


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def backends_with_mappings() -> QuerySet[Backend]:
    """Backends with pool, health and mappings, in three queries."""
    mappings = Prefetch("mappings", ModelMapping.objects.order_by("canonical"))
    return Backend.objects.select_related("pool", "health").prefetch_related(mappings)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A pool with its backends, and how many of them are how; the rest of them is disabled."""

    name: str
    order: int
    strategy: str
    total: int
    enabled: int
    healthy: int
    cooling: int
    error: int
    backends: tuple[Backend, ...]


def pool_states() -> list[PoolState]:
    """Every pool in order, with its backends by name."""
    members: dict[int, list[Backend]] = {}
    for backend in backends_with_mappings().order_by("name", "id"):
        members.setdefault(backend.pool_id, []).append(backend)
    return [_pool_state(pool, tuple(members.get(pool.pk, ()))) for pool in Pool.objects.all()]


def _pool_state(pool: Pool, backends: tuple[Backend, ...]) -> PoolState:
    statuses = Counter(backend.status for backend in backends)
    return PoolState(
        name=pool.name,
        order=pool.order,
        strategy=pool.strategy,
        total=len(backends),
        enabled=sum(backend.enabled for backend in backends),
        healthy=statuses[BackendStatus.HEALTHY],
        cooling=statuses[BackendStatus.COOLING],
        error=statuses[BackendStatus.ERROR],
        backends=backends,
    )


def api_key_masked(backend: Backend) -> str:
    """The API key as people may see it; stars alone where it does not open, nothing where there is none."""
    try:
        return masked(api_key_opened(backend))
    except Unreadable:
        return "****"


def extra_headers_masked(backend: Backend) -> dict[str, str]:
    """The extra headers with their values as people may see them."""
    try:
        return {name: masked(value) for name, value in extra_headers_opened(backend).items()}
    except Unreadable:
        return {}


def outgoing_proxy_shown(backend: Backend) -> str:
    """The outgoing proxy as people may see it, without user name and password; "" where there is none."""
    try:
        return outgoing_proxy_masked(secret_opened(backend, OUTGOING_PROXY))
    except Unreadable:
        return "***"


def client_certificate_shown(backend: Backend) -> str:
    """Subject and expiry of the client certificate; "" where there is none."""
    try:
        certificate = secret_opened(backend, CLIENT_CERTIFICATE)
    except Unreadable:
        return "set"
    return certificate_summary(certificate) if certificate else ""


def cooldown_events(*, backend_id: str = "") -> QuerySet[CooldownEvent]:
    """The log of cooldowns, newest first, of one backend where one is named."""
    events = CooldownEvent.objects.order_by("-started_at", "-id")
    return events.filter(backend_id=backend_id) if backend_id else events
