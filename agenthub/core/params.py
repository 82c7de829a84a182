"""Run-time settings: one dataclass that gives their names, types, defaults, ranges and help.

A value comes from the environment (`AGENTHUB_<NAME>`, or an older Sidecar name), else from the `SystemConfig` row,
else from the default. The environment wins and shows as locked. Pure: callers bring the environment and the rows.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from math import isnan
from typing import Any

from agenthub.core.origins import origins_refusal
from agenthub.core.statepaths import paths_refusal
from agenthub.core.timezones import time_zone_refusal

Value = bool | int | float | str


class InvalidSetting(ValueError):
    """A value that a setting can't have; the message names the setting and what it takes."""


def _param(
    default: Value,
    *,
    help: str,  # noqa: A002 - the word that forms and docs use
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
    refusal: Callable[[str], str] | None = None,  # of texts: why a value can't be one, after "<name> "; "" if it can
    sidecar: str = "",
) -> Any:
    metadata = {"help": help, "at_least": at_least, "at_most": at_most, "choices": choices, "refusal": refusal}
    return field(default=default, metadata=metadata | {"sidecar": sidecar})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """The value of every run-time setting at one moment."""

    queue_max_depth: int = _param(
        500, at_least=0, at_most=100_000, sidecar="SIDECAR_QUEUE_MAX", help="Requests that may wait for a backend."
    )
    queue_timeout_seconds: float = _param(
        30, at_least=0, at_most=3600, sidecar="SIDECAR_QUEUE_TIMEOUT", help="Longest wait of a request, in seconds."
    )
    default_rpm_limit: int = _param(
        40, at_least=1, at_most=100_000, sidecar="SIDECAR_RATE_RPM", help="Requests per minute of a new backend."
    )
    cooldown_base_seconds: float = _param(
        30, at_least=0.1, at_most=3600, sidecar="SIDECAR_COOLDOWN_BASE", help="Length of the first cooldown."
    )
    cooldown_max_seconds: float = _param(
        600, at_least=0.1, at_most=86_400, sidecar="SIDECAR_COOLDOWN_MAX", help="Longest cooldown that grows by itself."
    )
    cooldown_exponential_backoff: bool = _param(
        True, help="On: each further 429 doubles the cooldown. Off: it grows by the base."
    )
    emergency_rpm_fraction: float = _param(
        0.10, at_least=0, at_most=1, help="Part of rpm_limit that the emergency channel may use when all is exhausted."
    )
    health_check_interval_seconds: float = _param(
        60, at_least=1, at_most=3600, help="Time between probes of a backend; one that is down is probed every 5 s."
    )
    health_check_timeout_seconds: float = _param(10, at_least=0.1, at_most=300, help="Longest time of one probe.")
    health_probe_endpoint: str = _param("/models", help="Path below the base URL that probes GET; none: no probes.")
    max_pool_retries: int = _param(
        5, at_least=1, at_most=100, help="Different backends that one request may try, over all pools."
    )
    router_refresh_interval_seconds: float = _param(
        5, at_least=0.1, at_most=5, help="Upper bound until a change is in force in every process."
    )
    dashboard_sse_interval_seconds: float = _param(1, at_least=0.2, at_most=60, help="Time between dashboard updates.")
    stats_refresh_interval_seconds: float = _param(30, at_least=1, at_most=3600, help="Time between rolling figures.")
    default_request_timeout_seconds: float = _param(120, at_least=1, at_most=3600, help="Time limit of a new backend.")
    connect_timeout_seconds: float = _param(5, at_least=0.05, at_most=120, help="Longest time to connect upstream.")
    first_token_timeout_seconds: float = _param(
        12, at_least=0.05, at_most=3600, help="Longest silence of a stream before its first content."
    )
    stream_idle_timeout_seconds: float = _param(60, at_least=0.05, at_most=3600, help="Longest silence in a stream.")
    stream_total_timeout_seconds: float = _param(0, at_least=0, at_most=86_400, help="Longest stream; 0 for no limit.")
    stream_keepalive_seconds: float = _param(
        0, at_least=0, at_most=300, help="Comment lines during silences of a stream, for impatient proxies; 0 for none."
    )
    max_body_bytes: int = _param(
        32 * 1024 * 1024, at_least=1024, at_most=1024**3, help="Largest request body of the proxy, in bytes."
    )
    max_upload_bytes: int = _param(
        512 * 1024 * 1024,
        at_least=1024,
        at_most=1024**4,
        help="Largest form with files, in bytes; it lies on the disk meanwhile.",
    )
    response_cache_max_bytes: int = _param(
        64 * 1024 * 1024,
        at_least=1024**2,
        at_most=16 * 1024**3,
        help="Bound of the response cache in the memory of one process; an answer may be an eighth of it.",
    )
    shutdown_grace_seconds: float = _param(30, at_least=0, at_most=600, help="Time that streams have to end at a stop.")
    journal_max_bytes: int = _param(
        1024**3, at_least=1024**2, at_most=1024**4, help="Bound of the usage journal while the database is away."
    )
    cors_allowed_origins: str = _param(
        "none",
        refusal=origins_refusal,
        help="Origins whose pages may call /v1 from a browser, with commas between; * for any; none for none.",
    )
    journal_full: str = _param(
        "refuse", choices=("refuse", "drop"), help="At the bound: refuse requests, or serve them and drop the records."
    )
    usage_retention_days: int = _param(30, at_least=1, at_most=3650, help="Days that per-request records are kept.")
    message_retention_days: int = _param(
        365, at_least=0, at_most=3650, help="Days that messages of agents and people are kept; 0 keeps them for ever."
    )
    agent_log_retention_days: int = _param(
        30, at_least=0, at_most=3650, help="Days that reports of agents are kept; 0 keeps them for ever."
    )
    backup_retention_days: int = _param(
        7, at_least=0, at_most=3650, help="Days that backups are kept; 0: none are made each day, and all are kept."
    )
    checkpoint_max_bytes: int = _param(
        16 * 1024 * 1024, at_least=1024, at_most=256 * 1024 * 1024, help="Largest checkpoint, in bytes of its JSON."
    )
    checkpoint_auto_iterations: int = _param(
        5, at_least=1, at_most=100_000, help="Iterations of an agent between two automatic checkpoints."
    )
    checkpoint_keep_count: int = _param(
        5, at_least=1, at_most=100_000, help="Newest automatic checkpoints that are kept, per agent and task."
    )
    checkpoint_keep_days: int = _param(
        0, at_least=0, at_most=3650, help="Days that automatic checkpoints are kept at most; 0: their age is no matter."
    )
    checkpoint_keep_bytes: int = _param(
        0, at_least=0, at_most=1024**4, help="Bytes of an agent's automatic checkpoints that are kept; 0: no bound."
    )
    checkpoint_files: bool = _param(False, help="On: each checkpoint is also written to a file below the data folder.")
    checkpoint_redact_paths: str = _param(
        "none",
        refusal=paths_refusal,
        help="Paths in states whose values are not kept, e.g. config.api_key, messages.*.headers; none for none.",
    )
    budget_time_zone: str = _param(
        "UTC",
        refusal=time_zone_refusal,
        help="Time zone by whose midnights the budgets of client keys begin, e.g. Europe/Berlin.",
    )


PARAMS: dict[str, "Field[Any]"] = {param.name: param for param in fields(RuntimeSettings)}


def kind_of(param: "Field[Any]") -> type[Value]:
    """The Python type of a setting."""
    kind: type[Value] = param.type if isinstance(param.type, type) else str
    return kind


def parse_value(name: str, raw: object) -> Value:
    """The typed, checked value of `raw` (text, or a JSON value) for setting `name`.

    Raises InvalidSetting, whose message names the setting, the type and the range.
    """
    if name not in PARAMS:
        raise InvalidSetting(f"{name}: there is no such setting.")
    param = PARAMS[name]
    value = _typed(name, kind_of(param), raw)
    at_least, at_most, choices = (param.metadata[key] for key in ("at_least", "at_most", "choices"))
    if choices and value not in choices:
        raise InvalidSetting(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    if at_least is not None and not at_least <= value <= at_most:
        raise InvalidSetting(f"{name} must be between {at_least:g} and {at_most:g}, not {value}.")
    refusal = param.metadata["refusal"]
    if refusal is not None and (problem := refusal(value)):
        raise InvalidSetting(f"{name} {problem}")
    return value


def _typed(name: str, kind: type[Value], raw: object) -> Value:
    if kind is bool:
        text = str(raw).strip().lower()
        if text not in ("true", "1", "yes", "on", "false", "0", "no", "off"):
            raise InvalidSetting(f"{name} must be true or false, not {raw!r}.")
        return text in ("true", "1", "yes", "on")
    if kind is str:
        if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
            raise InvalidSetting(f"{name} must be a line of text, not {raw!r}.")
        return raw.strip()
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise InvalidSetting(f"{name} must be a number, not {raw!r}.")
    try:
        number = float(raw)
        if kind is int and number != int(number):
            raise InvalidSetting(f"{name} must be a whole number, not {raw}.")
    except (ValueError, OverflowError):
        raise InvalidSetting(f"{name} must be a number, not {raw!r}.") from None
    if isnan(number):
        raise InvalidSetting(f"{name} must be a number, not {raw!r}.")
    return int(raw) if kind is int and not isinstance(raw, float | str) else kind(number)


def default_of(name: str) -> Value:
    """The value of a setting that nobody has set."""
    default: Any = PARAMS[name].default
    return kind_of(PARAMS[name])(default)


def environment_names(name: str) -> tuple[str, ...]:
    """The environment variables that set `name`, the first that is set wins."""
    sidecar = PARAMS[name].metadata["sidecar"]
    return (f"AGENTHUB_{name.upper()}", *([sidecar] if sidecar else []))


def locked_by(name: str, environ: Mapping[str, str]) -> str | None:
    """The environment variable that holds `name` fixed, if one does."""
    return next((variable for variable in environment_names(name) if environ.get(variable, "") != ""), None)


def resolve(rows: Mapping[str, str], environ: Mapping[str, str]) -> RuntimeSettings:
    """All settings, out of the JSON texts of the `SystemConfig` rows and the environment.

    A bad environment value raises InvalidSetting with the variable's name. A row that is bad (written by another
    version) counts as unset, so that one old row never stops the hub.
    """
    values: dict[str, Value] = {}
    for name in PARAMS:
        variable = locked_by(name, environ)
        if variable is not None:
            try:
                values[name] = parse_value(name, environ[variable])
            except InvalidSetting as problem:
                raise InvalidSetting(f"Environment variable {variable}: {problem}") from None
        elif name in rows:
            try:
                values[name] = parse_value(name, json.loads(rows[name]))
            except ValueError:
                continue
    return RuntimeSettings(**{name: default_of(name) for name in PARAMS} | values)  # type: ignore[arg-type]
