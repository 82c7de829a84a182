"""Usage rows for tests: what is not said is that of a small, priced, successful chat request."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agenthub.core.ids import request_id
from providers.rules.usage import UsageRow

NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)
MILLISECONDS = 1_000


def usage_row(id: str | None = None, **fields: Any) -> UsageRow:  # noqa: A002 - the field's name
    started_at = fields.get("started_at", NOON)
    values: dict[str, Any] = {
        "id": id or request_id(),
        "started_at": started_at,
        "ended_at": started_at + timedelta(microseconds=fields.get("latency_us", 250 * MILLISECONDS)),
        "client_key_id": "key_a",
        "agent_id": "",
        "work_item_id": "",
        "endpoint": "chat/completions",
        "model": "small",
        "native_id": "vendor/small",
        "backend_id": "bkd_a",
        "pool": "primary",
        "stream": False,
        "status": 200,
        "error_type": "",
        "attempts": 1,
        "input_tokens": 10,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 20,
        "reasoning_tokens": 0,
        "estimated": False,
        "cost_usd": 5_000_000,
        "latency_us": 250 * MILLISECONDS,
        "ttft_us": 100 * MILLISECONDS,
        "queue_wait_us": 0,
        "emergency": False,
        "partial": False,
        "trail": (("bkd_a", "ok", 200, 1, 250),),
    }
    return UsageRow(**values | fields)
