"""Bringing over a Sidecar V2, from a real file to the rows."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command

from agenthub.core.models import SystemConfig
from agenthub.core.settings_store import runtime_settings
from providers import sidecar_file
from providers.models import Backend, CooldownEvent, DailyStats, HourlyUsage, ModelMapping, Pool
from providers.services.keys import api_key_opened
from providers.services.usage import usage_record_batch
from providers.sidecar_file import TABLES
from providers.usage_selectors import usage_total
from tests.factories import make_backend
from tests.management import with_environment
from tests.providers.sidecar_database import API_KEY, BACKEND, COOLDOWN, KEY, LAYOUT, USAGE, Sidecar
from tests.providers.usage_rows import usage_row

HOUR = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"], autouse=True)
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")
    monkeypatch.setenv("SIDECAR_ENCRYPTION_KEY", KEY)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    """A Sidecar that is running: its connection is open, and what it wrote is still in the log."""
    running = Sidecar(tmp_path / "sidecar #1.db")
    yield running
    running.connection.close()


def run(sidecar: Sidecar, *words: str) -> Any:
    out = StringIO()
    call_command("import_sidecar", str(sidecar.path), "--json", *words, stdout=out)
    return json.loads(out.getvalue())


def outcomes(answer: Any) -> dict[str, dict[str, int]]:
    """Only the counts that are not 0."""
    return {kind: {name: count for name, count in counts.items() if count} for kind, counts in answer["counts"].items()}


def everything() -> list[Any]:
    models = (Pool, Backend, ModelMapping, HourlyUsage, DailyStats, CooldownEvent, SystemConfig)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_everything_comes_over_and_a_second_run_changes_nothing(sidecar: Sidecar) -> None:
    sidecar.fill()
    answer = run(sidecar)
    assert outcomes(answer) == {kind: {"created": 1} for kind in answer["counts"]} | {"pools": {"unchanged": 1}}

    backend = Backend.objects.select_related("pool").get()
    assert (backend.id, backend.name, backend.label, backend.source) == (BACKEND["id"], "nvidia", "team", "import")
    assert (backend.rpm_limit, backend.timeout_seconds, backend.pool.name) == (40, 90, "primary")
    assert (api_key_opened(backend), backend.metadata) == (API_KEY, {"note": "x"})
    mapping = backend.mappings.get()
    assert (mapping.canonical, mapping.native_id, mapping.compat) == ("small", "vendor/small-2", {"temperature": 0.5})
    assert (mapping.price_input_usd, mapping.price_output_usd) == (Decimal("1.5e-7"), Decimal("6e-7"))
    assert (mapping.price_cache_read_usd, mapping.price_cache_write_usd) == (Decimal(0), None)
    assert (mapping.context_window, mapping.max_tokens, mapping.reasoning_effort) == (200_000, 8192, "high")

    hour = HourlyUsage.objects.get()
    assert (hour.hour, hour.backend_id, hour.model, hour.request_count) == (HOUR, backend.id, "small", 5)
    assert (hour.prompt_tokens, hour.completion_tokens, hour.cost_usd) == (100, 20, Decimal("0.000027"))
    assert (hour.latency_us_sum, hour.latency_count, hour.ttft_count) == (1_002_000, 4, 0)
    day = DailyStats.objects.get()
    assert (day.date, day.pool, day.request_count, day.error_count) == (date(2026, 3, 1), "primary", 5, 1)
    assert (day.prompt_tokens, day.completion_tokens, day.unique_backends) == (110, 20, 1)
    event = CooldownEvent.objects.get()
    assert (event.backend_name, event.consecutive_count, event.reason) == ("nvidia", 2, "rate_limited")
    assert event.ended_at is not None
    assert (event.ended_at - event.started_at).total_seconds() == 60
    assert event.response_summary == "slow down, [secret]"
    assert runtime_settings().queue_max_depth == 77
    trail = LogEntry.objects.filter(object_repr="nvidia").latest("id")
    assert trail.additional_data == {"actor": "command line"}

    before, entries = everything(), LogEntry.objects.count()
    answer = run(sidecar)
    assert outcomes(answer) == {kind: {"unchanged": 1} for kind in answer["counts"]}
    assert (everything(), LogEntry.objects.count()) == (before, entries)


def test_what_sidecar_counts_meanwhile_is_added_once_and_the_hubs_own_stays(sidecar: Sidecar) -> None:
    sidecar.fill()
    run(sidecar)
    own = usage_row("own", started_at=HOUR, ended_at=HOUR, backend_id=BACKEND["id"], client_key_id="")
    usage_record_batch(rows=[own], segment_id="s", start=0, end=1)
    sidecar.run("UPDATE backend_usage_logs SET request_count = 7, prompt_tokens = 150, cost = NULL")
    sidecar.run("UPDATE daily_stats SET total_requests = 7, total_tokens = 180, total_cost = NULL")
    answer = run(sidecar)
    assert outcomes(answer)["hourly usage"] == outcomes(answer)["daily stats"] == {"updated": 1}
    hours = {row.client_key_id: row.request_count for row in HourlyUsage.objects.all()}
    assert hours == {"": 1, "sidecar": 7}
    own_tokens = HourlyUsage.objects.get(client_key_id="").total_tokens
    own_cost = HourlyUsage.objects.get(client_key_id="").cost_usd
    day = DailyStats.objects.get()
    assert (day.request_count, day.total_tokens, day.cost_usd) == (8, 180 + own_tokens, own_cost)
    assert usage_total()["total_requests"] == 8
    assert outcomes(run(sidecar))["daily stats"] == {"unchanged": 1}


def test_days_that_are_not_summed_up_yet_are_summed_out_of_hours(sidecar: Sidecar) -> None:
    sidecar.add("backends", BACKEND, pool="fallback")
    for number, bucket in enumerate(("2026-03-02 10:00:00", "2026-03-02T10", 1772492400, "2026-03-03T00:30:00+02:00")):
        sidecar.add("backend_usage_logs", USAGE, id=number, hour_bucket=bucket)
    run(sidecar)
    hours = {row.hour: row.request_count for row in HourlyUsage.objects.all()}
    assert hours == {
        datetime(2026, 3, 2, 10, tzinfo=UTC): 10,
        datetime(2026, 3, 2, 23, tzinfo=UTC): 5,
        datetime(2026, 3, 2, 22, tzinfo=UTC): 5,
    }
    day = DailyStats.objects.get()
    assert (day.pool, day.request_count, day.completion_tokens, day.unique_backends) == ("fallback", 20, 80, 1)


def test_a_dry_run_says_the_same_and_writes_nothing(sidecar: Sidecar) -> None:
    sidecar.fill()
    sidecar.run("UPDATE backends SET pool = 'third'")
    before, entries = everything(), LogEntry.objects.count()
    dry = run(sidecar, "--dry-run")
    assert dry["dry_run"] is True
    assert (everything(), LogEntry.objects.count()) == (before, entries)
    assert run(sidecar)["counts"] == dry["counts"]


def test_what_is_translated_is_said(sidecar: Sidecar) -> None:
    sidecar.add("backends", BACKEND, api_base_url="https://a.example/v1/v1/", rpm_limit=0, timeout_seconds=9000)
    sidecar.add(
        "backends", BACKEND, id="two", api_base_url="https://b.example", model_mappings_json='{"m": {"tier": 1}}'
    )
    sidecar.add("backends", BACKEND, id="x", name="odd", api="gopher")
    for key, value in (
        ("health_probe_endpoint", "/v1/models"),
        ("queue_max", "12"),
        ("cooldown_base_seconds", "700"),
        ("cooldown_max_seconds", "900"),
        ("rate_refill_interval", "1"),
        ("pre_check_seconds", "5"),
        ("router_refresh_interval_seconds", "3600"),
        ("cooldown_exponential_backoff", "true"),
        ("theme", '"dark"'),
    ):
        sidecar.add("system_config", {"key": key, "value": value})
    answer = run(sidecar)
    assert outcomes(answer)["backends"] == {"created": 2, "skipped": 1}
    first, second = Backend.objects.order_by("name")
    assert (first.api_base_url, first.rpm_limit, first.timeout_seconds) == ("https://a.example/v1", 40, 3600)
    assert (second.name, second.api_base_url) == (f"nvidia ({second.id})", "https://b.example/v1")
    notes = "\n".join(answer["notes"])
    for words in (
        "https://a.example/v1/v1/ was put right to https://a.example/v1.",
        "rpm_limit of 0 means nothing here",
        "timeout_seconds of 9000 was lowered to 3600",
        "https://b.example was put right to https://b.example/v1",
        "Another backend has its name",
        "Of m these have no counterpart here: tier",
        "backends, odd, skipped: Its API “gopher”",
        "“/v1/models” was put right to “/models”",
        "queue_max, created: It is called queue_max_depth here",
        "refilled continuously",
        "one request after its cooldown",
        "router_refresh_interval_seconds must be between",
        "settings, theme, skipped: It has no counterpart",
    ):
        assert words in notes
    settings = runtime_settings()
    assert (settings.health_probe_endpoint, settings.queue_max_depth) == ("/models", 12)
    assert (settings.cooldown_base_seconds, settings.cooldown_max_seconds) == (700, 900)
    assert outcomes(answer)["settings"] == {"created": 3, "unchanged": 2, "skipped": 4}
    before = everything()
    run(sidecar)
    assert everything() == before


def test_a_backend_of_the_same_name_is_brought_up_to_date(sidecar: Sidecar) -> None:
    mine = make_backend("nvidia", rpm_limit=3)
    sidecar.fill()
    assert outcomes(run(sidecar))["backends"] == {"updated": 1}
    backend = Backend.objects.get()
    assert (backend.id, backend.rpm_limit, api_key_opened(backend)) == (mine.id, 40, API_KEY)
    assert HourlyUsage.objects.get().backend_id == mine.id
    assert CooldownEvent.objects.get().backend_name == "nvidia"


def test_a_cooldown_that_still_runs_stays_with_sidecar(sidecar: Sidecar) -> None:
    sidecar.add("cooldown_events", COOLDOWN, started_at="2999-01-01T00:00:00")
    answer = run(sidecar)
    assert outcomes(answer)["cooldowns"] == {"skipped": 1}
    assert "still run in Sidecar" in answer["notes"][0]
    sidecar.run("UPDATE cooldown_events SET started_at = '2026-01-01', ended_at = '2026-01-01T00:00:05'")
    assert outcomes(run(sidecar))["cooldowns"] == {"created": 1}


def test_a_setting_that_the_environment_holds_is_left(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_QUEUE_MAX_DEPTH", "9")
    sidecar.fill()
    answer = run(sidecar)
    assert outcomes(answer)["settings"] == {"skipped": 1}
    assert "AGENTHUB_QUEUE_MAX_DEPTH" in answer["notes"][0]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE backends SET api_key_encrypted = '00:11'", "backends bkd_0123456789ab: its API key does not open"),
        ("UPDATE backends SET api_key_encrypted = 'xyz'", "its API key does not open"),
        ("UPDATE backends SET name = NULL", "backends bkd_0123456789ab: name is empty"),
        ("UPDATE backends SET id = NULL", "backends: id is empty"),
        ("UPDATE backends SET model_mappings_json = '{\"small\": '", "model_mappings_json is not a JSON object"),
        ("UPDATE backends SET metadata_json = '[]'", "metadata_json is not a JSON object"),
        ("UPDATE backends SET api_base_url = 'ftp://x/v1'", "backend nvidia, api_base_url: "),
        ("UPDATE backends SET rpm_limit = 'many'", "rpm_limit is no number"),
        ("UPDATE backends SET pool = 'a b'", "Use letters"),
        ("UPDATE backend_usage_logs SET hour_bucket = NULL", "backend_usage_logs use_0123456789ab: hour_bucket"),
        ("UPDATE backend_usage_logs SET model = ''", "model is empty"),
        ("UPDATE backend_usage_logs SET request_count = -1", "request_count is no number"),
        ("UPDATE backend_usage_logs SET cost = 1e300", "cost is no number"),
        ("UPDATE daily_stats SET date = 'then'", "daily_stats day_0123456789ab: date is no time"),
        ("UPDATE cooldown_events SET cooldown_seconds = 1e15", "cooldown_seconds is no length of time"),
        ("UPDATE cooldown_events SET backend_id = NULL", "backend_id is empty"),
        ("UPDATE system_config SET key = NULL", "system_config: key is empty"),
        ("DROP TABLE daily_stats", "it has no table daily_stats"),
        ("ALTER TABLE backends DROP COLUMN pool", "its table backends has no column pool"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_half_done(sidecar: Sidecar, statement: str, words: str) -> None:
    sidecar.fill()
    sidecar.run(statement)
    before = everything()
    with pytest.raises(CommandError) as problem:
        run(sidecar)
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)
    assert everything() == before


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "set SIDECAR_ENCRYPTION_KEY"), ("cd" * 32, "does not open"), ("short", "must be the 64 hex characters")],
)
def test_a_wrong_key_is_one_line(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch, key: str, words: str) -> None:
    sidecar.fill()
    monkeypatch.setenv("SIDECAR_ENCRYPTION_KEY", key)
    with pytest.raises(CommandError, match=words):
        run(sidecar)
    assert not Backend.objects.exists()


def test_a_node_of_many_needs_its_own_key_beside(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar.fill()
    monkeypatch.delenv("AGENTHUB_ENCRYPTION_KEY", raising=False)
    with with_environment(redis_url="redis://x"), pytest.raises(CommandError, match="Set AGENTHUB_ENCRYPTION_KEY"):
        run(sidecar)


def test_a_file_that_is_none_of_sidecars_is_one_line(tmp_path: Path) -> None:
    for name, content, words in (
        ("none", None, "is not there"),
        ("text", b"hello " * 1000, "no SQLite database"),
        ("empty", b"", "it has no table backends"),
    ):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(CommandError, match=words):
            call_command("import_sidecar", str(file))
    with pytest.raises(CommandError, match="is no file"):
        call_command("import_sidecar", str(tmp_path))


def test_a_damaged_file_is_one_line(sidecar: Sidecar) -> None:
    for number in range(2000):
        sidecar.add("backend_usage_logs", USAGE, id=number)
    sidecar.run("PRAGMA wal_checkpoint(TRUNCATE)")
    with sidecar.path.open("r+b") as file:
        file.seek(12 * 4096)
        file.write(b"\xff" * 4096 * 4)
    sidecar.connection.close()
    with pytest.raises(CommandError, match="is damaged"):
        run(sidecar)


def test_the_file_is_read_and_never_written(sidecar: Sidecar) -> None:
    sidecar.fill()
    sidecar.connection.close()
    before = sidecar.path.read_bytes()
    run(sidecar)
    assert sidecar.path.read_bytes() == before


def test_beside_a_file_that_nobody_may_write_no_log_is_needed(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar.fill()
    original = sidecar_file._begun

    def nobody_may_write(path: Path, options: str) -> sqlite3.Connection:
        if "immutable" not in options:
            raise sqlite3.OperationalError("unable to open database file")
        return original(path, options)

    monkeypatch.setattr(sidecar_file, "_begun", nobody_may_write)
    with pytest.raises(CommandError, match="with the files -wal and -shm"):
        run(sidecar)
    sidecar.connection.close()
    assert outcomes(run(sidecar))["backends"] == {"created": 1}


def test_sidecar_may_write_while_it_is_read(sidecar: Sidecar) -> None:
    sidecar.fill()
    other = sqlite3.connect(sidecar.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE backends SET name = 'half'")
    run(sidecar)
    other.execute("COMMIT")
    other.close()
    assert Backend.objects.get().name == "nvidia"


def test_the_layout_is_the_one_that_is_read() -> None:
    for table, columns in TABLES.items():
        assert set(columns) <= set(LAYOUT[table].split(", "))
