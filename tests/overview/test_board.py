from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from agenthub.core.params import RuntimeSettings
from agenthub.overview.board import ProcessState, snapshot_event
from agenthub.overview.selectors import Figures
from providers.live_selectors import LiveUsage, Percentiles
from providers.models import BackendHealth, CooldownEvent
from providers.rules.table import (
    ApiKind,
    BackendEntry,
    BackendStatus,
    ErrorKind,
    MappingEntry,
    PoolEntry,
    Strategy,
    routing_table,
)
from proxy.state.protocol import BackendView

NOW = datetime(2025, 11, 21, 12, tzinfo=UTC)


def entry(name: str, **values: Any) -> BackendEntry:
    return BackendEntry(
        id=f"bkd_{name}",
        name=name,
        label="",
        pool="primary",
        base_url="http://127.0.0.1:1/v1",
        api=ApiKind.OPENAI_COMPLETIONS,
        api_key="sk-very-secret",
        mappings=(MappingEntry("small", "vendor/small"),),
        **values,
    )


def view(**values: Any) -> BackendView:
    return BackendView(
        **{
            "tokens": 30.0,
            "capacity": 40.0,
            "rate_per_minute": 40.0,
            "utilization": 0.25,
            "in_flight": 2,
            "cooling_seconds": 0.0,
            "consecutive_429_count": 0,
            "half_open": False,
            "error_kind": ErrorKind.NONE,
            **values,
        }
    )


def process(*backends: BackendEntry, views: dict[str, BackendView] | None = None) -> ProcessState:
    return ProcessState(
        routing=routing_table((PoolEntry("primary", 0, Strategy.STICKY, backends),)),
        settings=RuntimeSettings(),
        views=views or {},
        in_flight=3,
        queue_depth=1,
        uptime_seconds=12.3456,
        workers=1,
    )


def figures(**values: Any) -> Figures:
    live = LiveUsage(6, 2, 2 / 6, 900, Decimal("1.50"), Percentiles(1, 2, 3), Percentiles(None, None, None))
    total: Any = {"total_requests": 7, "total_cost": Decimal("2.500")}
    return Figures(**{"live": live, "by_backend": {}, "total": total, "health": {}, "cooldowns": (), **values})


def test_the_fixed_fields_of_the_stream() -> None:
    event = snapshot_event(process(entry("a"), views={"bkd_a": view()}), figures(), NOW)

    assert event["type"] == "snapshot"
    assert event["pool"]["primary"] == {
        "order": 0,
        "strategy": "sticky",
        "total": 1,
        "enabled": 1,
        "healthy": 1,
        "cooling": 0,
        "error": 0,
        "disabled": 0,
    }
    assert event["total"] == {"total_requests": 7, "total_cost": "2.5"}
    assert (event["uptime_seconds"], event["timestamp"]) == (12.346, "2025-11-21T12:00:00+00:00")
    (backend,) = event["backends"]
    assert backend["rate_limiter"] == {"tokens": 30.0, "capacity": 40.0, "rate_per_minute": 40.0, "utilization": 0.25}
    assert {
        "id",
        "name",
        "label",
        "pool",
        "enabled",
        "status",
        "rpm_limit",
        "cooldown_until",
        "consecutive_429_count",
        "model_count",
    } <= backend.keys()


def test_it_is_json_and_holds_no_key() -> None:
    health = {"bkd_a": BackendHealth(state="healthy", success_rate_5m=0.5, last_check_at=NOW)}
    cooldown = CooldownEvent(
        backend_id="bkd_a",
        reason="rate_limited",
        consecutive_count=1,
        cooldown_seconds=7.5,
        started_at=NOW,
        until=NOW + timedelta(seconds=7.5),
    )
    event = snapshot_event(
        process(entry("a"), views={"bkd_a": view()}), figures(health=health, cooldowns=(cooldown,)), NOW
    )

    text = orjson.dumps(event)

    assert b"secret" not in text
    assert orjson.loads(text)["cooldown_events"][0]["until"] == "2025-11-21T12:00:07.500000+00:00"


LATER = NOW.timestamp() + 9


@pytest.mark.parametrize(
    ("backend", "seen", "status", "cooling_seconds"),
    [
        (entry("a"), view(), "healthy", 0),
        (entry("a"), view(cooling_seconds=4.0), "cooling", 4),
        (entry("a", cooldown_until=LATER, status=BackendStatus.COOLING), None, "cooling", 9),
        (entry("a", cooldown_until=LATER, status=BackendStatus.COOLING), view(cooling_seconds=12.0), "cooling", 12),
        (entry("a", cooldown_until=NOW.timestamp() - 1, status=BackendStatus.COOLING), view(), "healthy", 0),
        (entry("a"), view(error_kind=ErrorKind.QUOTA, cooling_seconds=4.0), "error", 4),
        (entry("a", error_kind=ErrorKind.KEY, status=BackendStatus.ERROR), None, "error", 0),
        (entry("a", enabled=False, error_kind=ErrorKind.KEY), view(cooling_seconds=4.0), "disabled", 4),
    ],
)
def test_a_backend_is_as_the_process_or_its_row_says(
    backend: BackendEntry, seen: BackendView | None, status: str, cooling_seconds: float
) -> None:
    event = snapshot_event(process(backend, views={} if seen is None else {"bkd_a": seen}), figures(), NOW)

    (shown,) = event["backends"]
    assert (shown["status"], shown["cooling_seconds"]) == (status, cooling_seconds)
    assert event["pool"]["primary"][status] == 1


def test_without_the_database_what_the_process_knows_still_stands() -> None:
    event = snapshot_event(process(entry("a"), views={"bkd_a": view()}), None, NOW)

    assert (event["database"], event["total"], event["traffic"]["requests_per_minute"]) == ("unavailable", None, None)
    assert (event["traffic"]["in_flight"], event["traffic"]["queue_depth"]) == (3, 1)
    assert event["backends"][0]["in_flight"] == 2
