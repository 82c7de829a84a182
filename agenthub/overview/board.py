"""What an update of the dashboard says: one JSON object, put together out of what is known where.

Pure but for its inputs' types: routes and counters of this process's proxy, and figures of the database. Without
figures (the database is away) their fields are null, and the rest stays true.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agenthub.core.money import usd_text
from agenthub.core.params import RuntimeSettings
from agenthub.overview.selectors import Figures
from providers.models import BackendHealth, CooldownEvent
from providers.rules.table import BackendEntry, BackendStatus, ErrorKind, PoolEntry, RoutingTable
from proxy.state.protocol import BackendView


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What the proxy of this process knows by itself."""

    routing: RoutingTable
    settings: RuntimeSettings
    views: Mapping[str, BackendView]
    in_flight: int
    queue_depth: int
    uptime_seconds: float
    workers: int


def snapshot_event(process: ProcessState, figures: Figures | None, now: datetime) -> dict[str, Any]:
    """The event of `/dashboard/sse`; its first seven fields are the fixed ones of the stream."""
    backends = [_backend(entry, process, figures, now) for pool in process.routing.pools for entry in pool.backends]
    return {
        "type": "snapshot",
        "pool": {
            pool.name: _pool(pool, [b for b in backends if b["pool"] == pool.name]) for pool in process.routing.pools
        },
        "total": None if figures is None else {**figures.total, "total_cost": usd_text(figures.total["total_cost"])},
        "backends": backends,
        "uptime_seconds": round(process.uptime_seconds, 3),
        "timestamp": now.isoformat(),
        "traffic": {
            **_traffic(figures),
            "in_flight": process.in_flight,
            "queue_depth": process.queue_depth,
            "queue_max_depth": process.settings.queue_max_depth,
        },
        "cooldown_events": [] if figures is None else [_event(event) for event in figures.cooldowns],
        "models": sorted(process.routing.by_model),
        "workers": process.workers,
        "interval_seconds": process.settings.dashboard_sse_interval_seconds,
        "database": "ok" if figures is not None else "unavailable",
    }


def _pool(pool: PoolEntry, backends: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = [backend["status"] for backend in backends]
    return {
        "order": pool.order,
        "strategy": pool.strategy.value,
        "total": len(backends),
        "enabled": sum(backend["enabled"] for backend in backends),
        **{status.value: statuses.count(status.value) for status in BackendStatus},
    }


def _backend(entry: BackendEntry, process: ProcessState, figures: Figures | None, now: datetime) -> dict[str, Any]:
    view = process.views.get(entry.id)
    cooling_seconds = _cooling_seconds(entry, view, now)
    return {
        "id": entry.id,
        "name": entry.name,
        "label": entry.label,
        "pool": entry.pool,
        "enabled": entry.enabled,
        "status": _status(entry, view, cooling_seconds).value,
        "rpm_limit": entry.rpm_limit,
        "cooldown_until": None if entry.cooldown_until is None else _iso(entry.cooldown_until),
        "cooling_seconds": round(cooling_seconds, 1),
        "consecutive_429_count": entry.consecutive_429_count if view is None else view.consecutive_429_count,
        "model_count": len(entry.mappings),
        "rate_limiter": None if view is None else _rate_limiter(view),
        "in_flight": None if view is None else view.in_flight,
        "max_concurrency": entry.max_concurrency,
        "half_open": view is not None and view.half_open,
        "error_kind": _error_kind(entry, view).value,
        "error_reason": entry.error_reason,
        "health": _health(None if figures is None else figures.health.get(entry.id)),
        "last_minute": None if figures is None else _last_minute(figures.by_backend.get(entry.id, {})),
    }


def _cooling_seconds(entry: BackendEntry, view: BackendView | None, now: datetime) -> float:
    by_row = 0.0 if entry.cooldown_until is None else entry.cooldown_until - now.timestamp()
    # The process knows of its own 429 before the row does, and of another's only through the row.
    return max(0.0, by_row, 0.0 if view is None else view.cooling_seconds)


def _error_kind(entry: BackendEntry, view: BackendView | None) -> ErrorKind:
    return entry.error_kind if view is None or view.error_kind is ErrorKind.NONE else view.error_kind


def _status(entry: BackendEntry, view: BackendView | None, cooling_seconds: float) -> BackendStatus:
    if not entry.enabled:
        return BackendStatus.DISABLED
    if _error_kind(entry, view) is not ErrorKind.NONE:
        return BackendStatus.ERROR
    return BackendStatus.COOLING if cooling_seconds > 0 else BackendStatus.HEALTHY


def _rate_limiter(view: BackendView) -> dict[str, float | None]:
    return {
        "tokens": None if view.tokens is None else round(view.tokens, 2),
        "capacity": view.capacity,
        "rate_per_minute": view.rate_per_minute,
        "utilization": round(view.utilization, 4),
    }


def _health(health: BackendHealth | None) -> dict[str, Any] | None:
    if health is None:
        return None
    return {
        "state": health.state,
        "success_rate_5m": health.success_rate_5m,
        "last_latency_ms": health.last_latency_ms,
        "last_status_code": health.last_status_code,
        "last_check_at": None if health.last_check_at is None else health.last_check_at.isoformat(),
    }


def _last_minute(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: int(counts.get(name, 0)) for name in ("requests", "errors", "tokens")}


_TRAFFIC = (
    "requests_per_minute",
    "errors_per_minute",
    "error_rate",
    "tokens_per_minute",
    "cost_today_usd",
    "latency_ms",
    "ttft_ms",
)


def _traffic(figures: Figures | None) -> dict[str, Any]:
    if figures is None:
        return dict.fromkeys(_TRAFFIC)
    live = asdict(figures.live)
    cost: Decimal | None = live["cost_today_usd"]
    return {
        **{name: live[name] for name in _TRAFFIC},
        "tokens_per_minute": int(live["tokens_per_minute"]),
        "cost_today_usd": None if cost is None else usd_text(cost),
    }


def _event(event: CooldownEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "backend_id": event.backend_id,
        "backend_name": event.backend_name,
        "reason": event.reason,
        "consecutive_count": event.consecutive_count,
        "cooldown_seconds": event.cooldown_seconds,
        "started_at": event.started_at.isoformat(),
        "until": event.until.isoformat(),
        "ended_at": None if event.ended_at is None else event.ended_at.isoformat(),
    }


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat()
