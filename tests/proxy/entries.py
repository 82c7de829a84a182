"""Journal entries for tests: what is not said is that of a small, priced, successful chat request."""

from typing import Any

from agenthub.core.ids import request_id
from proxy.rules.record import Attempt, RequestBegun, RequestEnded

NOON_US = 1_763_726_400_000_000  # 21 November 2025, 12:00 UTC


def begun(id: str | None = None, **fields: Any) -> RequestBegun:  # noqa: A002 - the field's name
    values: dict[str, Any] = {
        "id": id or request_id(),
        "started_at_us": NOON_US,
        "client_key_id": "key_0123456789ab",
        "agent_id": "",
        "work_item_id": "",
        "endpoint": "chat/completions",
        "model": "small",
        "stream": False,
        "input_tokens_estimate": 7,
    }
    return RequestBegun(**values | fields)


def ended(id: str | None = None, **fields: Any) -> RequestEnded:  # noqa: A002 - the field's name
    values: dict[str, Any] = {
        "id": id or request_id(),
        "started_at_us": NOON_US,
        "client_key_id": "key_0123456789ab",
        "agent_id": "",
        "work_item_id": "",
        "endpoint": "chat/completions",
        "model": "small",
        "native_id": "vendor/small",
        "backend_id": "bkd_0123456789ab",
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
        "cost_picousd": 5_000_000,
        "latency_us": 250_000,
        "ttft_us": 100_000,
        "queue_wait_us": 0,
        "emergency": False,
        "partial": False,
        "trail": (Attempt("bkd_0123456789ab", "ok", 200, 1, 250),),
    }
    return RequestEnded(**values | fields)
