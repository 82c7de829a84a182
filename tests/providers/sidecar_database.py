"""A Sidecar V2 database for tests, by its own table layout."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = "ab" * 32
API_KEY = "nvapi-sidecar-key-123456"
LAYOUT = {
    "backends": "id, name, label, api_base_url, api_key_encrypted, api, timeout_seconds, rpm_limit, pool, enabled, "
    "status, model_mappings_json, source, cooldown_until, consecutive_429_count, metadata_json, created_at, updated_at",
    "backend_usage_logs": "id, backend_id, model, prompt_tokens, completion_tokens, total_tokens, cost, request_count, "
    "error_count, avg_latency_ms, ttft_ms, hour_bucket, created_at",
    "cooldown_events": "id, backend_id, consecutive_count, cooldown_seconds, response_summary, started_at, ended_at",
    "backend_health": "backend_id, state, last_latency_ms, last_status_code, success_rate_5m, consecutive_failures, "
    "last_check_at",
    "system_config": "key, value, description, updated_at",
    "daily_stats": "id, date, pool, total_requests, total_errors, total_tokens, total_cost, unique_backends, "
    "created_at",
}
MAPPING: dict[str, Any] = {
    "native_id": "vendor/small-2",
    "reasoning": True,
    "reasoning_effort": "high",
    "input_modalities": ["text", "image"],
    "cost": {"input": 1.5e-07, "output": 6e-07, "cacheRead": 0, "cacheWrite": None},
    "context_window": 200_000,
    "max_tokens": 8192,
    "compat": {"temperature": 0.5},
}
BACKEND: dict[str, Any] = {
    "id": "bkd_0123456789ab",
    "name": "nvidia",
    "label": "team",
    "api_base_url": "https://host.example/v1",
    "api": "openai-completions",
    "timeout_seconds": 90,
    "rpm_limit": 40,
    "pool": "primary",
    "enabled": 1,
    "status": "healthy",
    "model_mappings_json": json.dumps({"small": MAPPING}),
    "source": "webui",
    "metadata_json": '{"note": "x"}',
}
USAGE: dict[str, Any] = {
    "id": "use_0123456789ab",
    "backend_id": BACKEND["id"],
    "model": "small",
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "cost": 0.000027,
    "request_count": 5,
    "error_count": 1,
    "avg_latency_ms": 250.5,
    "ttft_ms": None,
    "hour_bucket": "2026-03-01T10:00:00",
}
DAY: dict[str, Any] = {
    "id": "day_0123456789ab",
    "date": "2026-03-01",
    "pool": "primary",
    "total_requests": 5,
    "total_errors": 1,
    "total_tokens": 130,
    "total_cost": 0.000027,
    "unique_backends": 1,
}
COOLDOWN: dict[str, Any] = {
    "id": "cev_0123456789ab",
    "backend_id": BACKEND["id"],
    "consecutive_count": 2,
    "cooldown_seconds": 60,
    "response_summary": "slow down, sk-abcdefghijklmn",
    "started_at": "2026-03-01T10:00:00Z",
    "ended_at": None,
}


def sealed(api_key: str = API_KEY, key: str = KEY) -> str:
    nonce = bytes(range(12))
    return f"{nonce.hex()}:{AESGCM(bytes.fromhex(key)).encrypt(nonce, api_key.encode(), None).hex()}"


class Sidecar:
    """An open database, as a running Sidecar has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        for table, columns in LAYOUT.items():
            self.connection.execute(f"CREATE TABLE {table} ({columns})")

    def add(self, table: str, row: dict[str, Any], **changes: Any) -> None:
        values = row | changes
        marks = ", ".join("?" * len(values))
        self.connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))

    def fill(self) -> None:
        """One of everything."""
        self.add("backends", BACKEND, api_key_encrypted=sealed())
        self.add("backend_usage_logs", USAGE)
        self.add("daily_stats", DAY)
        self.add("cooldown_events", COOLDOWN)
        self.add("system_config", {"key": "queue_max_depth", "value": "77"})

    def run(self, statement: str) -> None:
        self.connection.execute(statement)
