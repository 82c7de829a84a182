"""The whole system at a glance, as plain values: for the command line."""

from pathlib import Path
from typing import Any

from django.conf import settings
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from agenthub.core.clock import utc_now
from agenthub.core.settings_store import runtime_settings
from agenthub.core.version import VERSION
from heartbeat.models import Component
from heartbeat.rules.components import Kind
from heartbeat.rules.lateness import ComponentStatus
from heartbeat.selectors import alerts_open, pulse
from providers.selectors import pool_states
from proxy.journal import segments

MOST_ALERTS = 20
_GAUGES = {"agenthub_queue_depth": "waiting", "agenthub_inflight": "in_flight"}


def glance() -> dict[str, Any]:
    """Components, pools, journal, queue and alerts of the hub of this data folder. Raises DatabaseError."""
    found = pulse()
    return {
        "timestamp": utc_now().isoformat(),
        "version": VERSION,
        "status": found.status.value,
        "components": found.counts,
        "troubled": [_trouble(component) for component in found.troubled],
        "last_heartbeat": found.last_heartbeat,
        "pools": [
            {
                name: getattr(pool, name)
                for name in ("name", "strategy", "total", "enabled", "healthy", "cooling", "error")
            }
            for pool in pool_states()
        ],
        "journal": _journal(),
        "queue": _queue(),
        "alerts": [
            {name: getattr(alert, name) for name in ("id", "rule", "severity", "state", "source", "summary")}
            for alert in alerts_open()[:MOST_ALERTS]
        ],
        "open_alerts": alerts_open().count(),
    }


def _trouble(component: Component) -> dict[str, Any]:
    return {"name": component.name, "status": str(component.status), "note": component.note}


def _journal() -> dict[str, int]:
    folder = settings.ENVIRONMENT.journal_dir
    sizes = [size for _, size in segments(folder)] if folder.is_dir() else []
    return {"segments": len(sizes), "bytes": sum(sizes), "max_bytes": runtime_settings().journal_max_bytes}


def _queue() -> dict[str, int] | None:
    """Requests that wait and that are under way, by the counters of the hub on this data folder; None without one."""
    folder: Path = settings.ENVIRONMENT.metrics_dir
    living = Component.objects.filter(kind=Kind.WEB, status=ComponentStatus.HEALTHY).exists()
    if not living or not folder.is_dir():
        return None
    registry = CollectorRegistry()
    collector = MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return dict.fromkeys(_GAUGES.values(), 0) | {
        _GAUGES[metric.name]: int(sum(sample.value for sample in metric.samples))
        for metric in collector.collect()  # type: ignore[no-untyped-call]
        if metric.name in _GAUGES
    }
