"""What the rows of a Sidecar V2 database mean here: each is translated, or said to be wrong in one line.

Rows come as mappings of column names to what SQLite holds, which may be anything. Every function raises BadRequest,
naming table and row, for a row that is half-written; it never repeats what might be a secret.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agenthub.core.errors import BadRequest
from agenthub.core.money import LARGEST_PICODOLLARS, PICODOLLAR_DIGITS, usd_from_picodollars, usd_text
from agenthub.core.params import PARAMS
from providers.rules.base_url import base_url_put_right, probe_path_put_right
from providers.rules.entries import Entry
from providers.rules.redaction import response_summary
from providers.rules.table import ApiKind
from providers.rules.usage import Sums

Row = Mapping[str, Any]

CLIENT_KEY = "sidecar"
"""Stands for the client key in hourly sums that were imported: Sidecar knew no keys, and these rows stay apart."""

NONCE_BYTES = 12
LARGEST_RPM, LARGEST_TIMEOUT_SECONDS, LONGEST_NAME = 100_000, 3600, 128
_COSTS = ("input", "output", "cacheRead", "cacheWrite")
_OF_MAPPING = (
    "native_id",
    "reasoning",
    "reasoning_effort",
    "input_modalities",
    "context_window",
    "max_tokens",
    "compat",
)
_NO_SUMS = Sums(0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0, 0, 0, 0)


def key_read(text: str) -> bytes:
    """The key in SIDECAR_ENCRYPTION_KEY. Raises BadRequest."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        raise BadRequest("SIDECAR_ENCRYPTION_KEY must be the 64 hex characters that Sidecar was run with.")
    return bytes.fromhex(text.strip())


def kept_id(prefix: str, theirs: object) -> str:
    """Sidecar's id where it has the form of ours, else one that is made of it, the same each time."""
    text = str(theirs)
    if re.fullmatch(rf"{prefix}_[0-9a-f]{{12}}", text):
        return text
    return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarBackend:
    """One backend as an entry, and what was put right on the way."""

    theirs: str
    id: str
    pool: str
    entry: Entry
    notes: tuple[str, ...]
    skipped: str = ""  # why it is not brought over


def backends_of(rows: Iterable[Row], key: bytes | None) -> list[SidecarBackend]:
    """The backends; names that two of them have are told apart by their ids."""
    found = [_backend(row, key) for row in rows]
    names: set[str] = set()
    for place, each in enumerate(found):
        name = each.entry.values["name"]
        if name in names:
            name = f"{name[: LONGEST_NAME - 20]} ({each.id})"
            entry = Entry(each.entry.place, each.entry.values | {"name": name})
            note = f"Another backend has its name, so it is called “{name}” here."
            found[place] = replace(each, entry=entry, notes=(*each.notes, note))
        names.add(name)
    return found


def _backend(row: Row, key: bytes | None) -> SidecarBackend:
    where = f"backends {_text(row, 'id', 'backends')}"
    notes: list[str] = []
    api = row["api"] or ApiKind.OPENAI_COMPLETIONS.value
    skipped = "" if api in set(ApiKind) else f"Its API “{str(api)[:40]}” is none that this hub speaks."
    url = _text(row, "api_base_url", where)
    values: dict[str, Any] = {
        "name": _text(row, "name", where).strip()[:LONGEST_NAME],
        "label": str(row["label"] or ""),
        # Azure's addresses have their version in the query.
        "api_base_url": url if api == ApiKind.AZURE_OPENAI else base_url_put_right(url),
        "api_key": _secret(row["api_key_encrypted"], key, where) or None,
        "api": api,
        "pool": str(row["pool"] or "primary"),
        "enabled": bool(_count(row, "enabled", where)),
        "metadata": _object(row, "metadata_json", where),
        "model_mappings": _mappings(_object(row, "model_mappings_json", where), where, notes),
    }
    if values["api_base_url"] != url.rstrip("/"):
        notes.append(f"Its base URL {url} was put right to {values['api_base_url']}.")
    for column, most in (("rpm_limit", LARGEST_RPM), ("timeout_seconds", LARGEST_TIMEOUT_SECONDS)):
        limit = _limit(row, column, most, where, notes)
        if limit is not None:
            values[column] = limit
    return SidecarBackend(
        theirs=str(row["id"]),
        id=kept_id("bkd", row["id"]),
        pool=values["pool"],
        entry=Entry(where, values),
        notes=tuple(notes),
        skipped=skipped,
    )


def _secret(sealed: object, key: bytes | None, where: str) -> str:
    if sealed in (None, "", b""):
        return ""
    if key is None:
        raise BadRequest(f"{where} has an encrypted API key; set SIDECAR_ENCRYPTION_KEY to the key of that Sidecar.")
    nonce, _, sealed_text = str(sealed).partition(":")
    try:
        opened = AESGCM(key).decrypt(bytes.fromhex(nonce), bytes.fromhex(sealed_text), None)
        if len(nonce) != 2 * NONCE_BYTES:
            raise ValueError
        return opened.decode()
    except (InvalidTag, ValueError):
        raise BadRequest(
            f"{where}: its API key does not open with SIDECAR_ENCRYPTION_KEY; it is another Sidecar's, or damaged."
        ) from None


def _limit(row: Row, column: str, most: int, where: str, notes: list[str]) -> int | float | None:
    """A limit within what may be set here; None where it says nothing, which leaves the hub's default."""
    if row[column] is None:
        return None
    number = _number(row[column], column, where)
    if number < 1:
        notes.append(f"Its {column} of {row[column]} means nothing here; the default is taken.")
        return None
    if number > most:
        notes.append(f"Its {column} of {row[column]} was lowered to {most}.")
    return min(int(number) if column == "rpm_limit" else float(number), most)


def _mappings(given: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    mappings = {}
    for canonical, mapping in given.items():
        if isinstance(mapping, str):
            mapping = {"native_id": mapping}  # noqa: PLW2901 - the short form
        if not isinstance(mapping, dict):
            raise BadRequest(f"{where}: model_mappings_json of {canonical[:100]} is not an object.")
        kept = {name: mapping[name] for name in _OF_MAPPING if mapping.get(name) is not None}
        cost = mapping.get("cost") or {}
        if not isinstance(cost, dict):
            raise BadRequest(f"{where}: the cost of {canonical[:100]} is not an object.")
        kept["cost"] = {
            name: usd_text(usd_from_picodollars(_picodollars(cost[name], f"cost of {canonical[:100]}", where)))
            for name in _COSTS
            if cost.get(name) is not None
        }
        lost = sorted((set(mapping) - {*_OF_MAPPING, "cost"}) | (set(cost) - set(_COSTS)))
        if lost:
            notes.append(f"Of {canonical[:100]} these have no counterpart here: {', '.join(lost)[:200]}.")
        mappings[canonical] = kept
    return mappings


@dataclass(frozen=True, slots=True)
class Usage:
    """The sums of a Sidecar: by hour, backend and model, and by day and pool with the number of backends."""

    hours: dict[tuple[datetime, str, str], Sums]
    days: dict[tuple[date, str], tuple[Sums, int]]


def usage_of(hourly: Iterable[Row], daily: Iterable[Row], *, ids: Mapping[str, str], pools: Mapping[str, str]) -> Usage:
    """What Sidecar has counted. `ids` gives our backend for theirs, `pools` the pool of each of theirs.

    Days know tokens only as a whole; the hours tell how many of them were completions. Days that Sidecar has not summed
    up yet are summed up out of their hours.
    """
    hours: dict[tuple[datetime, str, str], Sums] = defaultdict(lambda: _NO_SUMS)
    by_day: dict[tuple[date, str], Sums] = defaultdict(lambda: _NO_SUMS)
    served: dict[tuple[date, str], set[str]] = defaultdict(set)
    for row in hourly:
        theirs, where = str(row["backend_id"] or ""), f"backend_usage_logs {row['id']}"
        hour = _moment(row["hour_bucket"], where, "hour_bucket").replace(minute=0, second=0, microsecond=0)
        sums = _hour_sums(row, where)
        key = (hour, ids.get(theirs) or kept_id("bkd", theirs), _text(row, "model", where)[:200])
        hours[key] = _added(hours[key], sums)
        day = (hour.date(), pools.get(theirs, ""))
        by_day[day] = _added(by_day[day], sums)
        served[day].add(theirs)
    days: dict[tuple[date, str], tuple[Sums, int]] = {}
    for row in daily:
        where = f"daily_stats {row['id']}"
        day = (_moment(row["date"], where, "date").date(), str(row["pool"] or "")[:64])
        before = days.get(day, (_NO_SUMS, 0))
        sums = _day_sums(row, where, completions=by_day[day].output_tokens if day in by_day else 0)
        days[day] = (_added(before[0], sums), max(before[1], _count(row, "unique_backends", where)))
    summed = {day for day, _ in days}
    missing = {day: (sums, len(served[day])) for day, sums in by_day.items() if day[0] not in summed}
    return Usage(dict(hours), days | missing)


def _hour_sums(row: Row, where: str) -> Sums:
    requests, errors = _count(row, "request_count", where), _count(row, "error_count", where)
    # Sidecar kept means; a mean over those that ended well gives them back.
    good = max(requests - errors, 0)
    latency, ttft = _micros(row, "avg_latency_ms", where), _micros(row, "ttft_ms", where)
    return _NO_SUMS._replace(
        input_tokens=_count(row, "prompt_tokens", where),
        output_tokens=_count(row, "completion_tokens", where),
        request_count=requests,
        error_count=errors,
        cost_usd=None if row["cost"] is None else _picodollars(row["cost"], "cost", where),
        latency_us_sum=(latency or 0) * good,
        latency_count=good if latency is not None else 0,
        ttft_us_sum=(ttft or 0) * good,
        ttft_count=good if ttft is not None else 0,
    )


def _day_sums(row: Row, where: str, *, completions: int) -> Sums:
    tokens = _count(row, "total_tokens", where)
    output = min(completions, tokens)
    return _NO_SUMS._replace(
        input_tokens=tokens - output,
        output_tokens=output,
        request_count=_count(row, "total_requests", where),
        error_count=_count(row, "total_errors", where),
        cost_usd=None if row["total_cost"] is None else _picodollars(row["total_cost"], "total_cost", where),
    )


def _added(one: Sums, other: Sums) -> Sums:
    cost = None if one.cost_usd is None and other.cost_usd is None else (one.cost_usd or 0) + (other.cost_usd or 0)
    return Sums(*((a or 0) + (b or 0) for a, b in zip(one, other, strict=True)))._replace(cost_usd=cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarCooldown:
    """One cooldown that is over."""

    id: str
    backend_id: str
    consecutive_count: int
    cooldown_seconds: float
    response_summary: str
    started_at: datetime
    until: datetime
    ended_at: datetime


def cooldown_of(row: Row, *, ids: Mapping[str, str], now: datetime) -> SidecarCooldown | None:
    """One cooldown of the log; None if it is still going on at `now`: it is Sidecar's, not this hub's."""
    where = f"cooldown_events {row['id']}"
    theirs = _text(row, "backend_id", where)
    seconds = float(_number(row["cooldown_seconds"] or 0, "cooldown_seconds", where))
    started = _moment(row["started_at"], where, "started_at")
    try:
        until = started + timedelta(seconds=seconds)
    except OverflowError:
        raise BadRequest(f"{where}: cooldown_seconds is no length of time.") from None
    ended = until if row["ended_at"] is None else _moment(row["ended_at"], where, "ended_at")
    if ended > now:
        return None
    return SidecarCooldown(
        id=kept_id("cev", row["id"]),
        backend_id=ids.get(theirs) or kept_id("bkd", theirs),
        consecutive_count=_count(row, "consecutive_count", where),
        cooldown_seconds=seconds,
        response_summary=response_summary(str(row["response_summary"] or "")),
        started_at=started,
        until=until,
        ended_at=ended,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarSetting:
    """One setting: its name and value here, or why it is not brought over."""

    theirs: str
    name: str = ""
    value: object = None
    note: str = ""


_NAMES = {name: name for name in PARAMS} | {
    param.metadata["sidecar"].removeprefix("SIDECAR_").lower(): name
    for name, param in PARAMS.items()
    if param.metadata["sidecar"]
}
_WHY_NOT = {
    "refill": "Buckets are refilled continuously here.",
    "precheck": "A backend is tried with one request after its cooldown here, which does what this was for.",
}


def setting_of(row: Row) -> SidecarSetting:
    """The counterpart of one row of system_config."""
    theirs = _text(row, "key", "system_config")
    plain = theirs.lower().removeprefix("sidecar_")
    name = _NAMES.get(plain, "")
    if not name:
        why = [words for part, words in _WHY_NOT.items() if part in plain.replace("_", "")]
        return SidecarSetting(theirs=theirs, note=" ".join(why) or "It has no counterpart here.")
    value = row["value"]
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        value = row["value"]  # a plain text
    if value is None or isinstance(value, dict | list | bytes):
        return SidecarSetting(theirs=theirs, note="It has no value that could be set.")
    note = "" if name == theirs else f"It is called {name} here."
    if name == "health_probe_endpoint" and isinstance(value, str):
        right = probe_path_put_right(value)
        if right != value:
            note = f"“{value[:100]}” was put right to “{right}”: the base URL holds the version."
        value = right
    return SidecarSetting(theirs=theirs, name=name, value=value, note=note)


def _text(row: Row, column: str, where: str) -> str:
    value = row[column]
    if isinstance(value, int) and column in ("id", "backend_id"):
        return str(value)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise BadRequest(f"{where}: {column} is empty or no text; the row is half-written.")
    return value


def _number(value: Any, column: str, where: str) -> Decimal:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or number > LARGEST_PICODOLLARS:
        raise BadRequest(f"{where}: {column} is no number that could be.")
    return number


def _count(row: Row, column: str, where: str) -> int:
    return int(_number(row[column] if row[column] is not None else 0, column, where))


def _micros(row: Row, column: str, where: str) -> int | None:
    return None if row[column] is None else int(_number(row[column], column, where) * 1000)


def _picodollars(value: Any, column: str, where: str) -> int:
    usd = _number(value, column, where)
    whole = usd.scaleb(PICODOLLAR_DIGITS).to_integral_value(ROUND_HALF_EVEN)
    if whole > LARGEST_PICODOLLARS:
        raise BadRequest(f"{where}: {column} is no amount of money that could be.")
    return int(whole)


def _object(row: Row, column: str, where: str) -> dict[str, Any]:
    if row[column] in (None, ""):
        return {}
    try:
        value = json.loads(row[column], parse_constant=_no_such_number)
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{where}: {column} is not a JSON object; the row is half-written.")
    return value


def _no_such_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _moment(value: Any, where: str, column: str) -> datetime:
    """A time, naive ones taken as UTC; numbers are seconds, or milliseconds where they are too large for that."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        moment = datetime.fromisoformat(str(value).strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadRequest(f"{where}: {column} is no time; the row is half-written.") from None
