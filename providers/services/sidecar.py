"""Bringing over what a Sidecar V2 database holds: all of it or nothing, and as often as one likes."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from agenthub.core.errors import Refused
from agenthub.core.ids import short_id
from agenthub.core.money import usd_from_picodollars
from agenthub.core.settings_store import setting_set, setting_state
from providers.models import Backend, CooldownEvent, DailyStats, HourlyUsage, Pool
from providers.rules.sidecar import (
    CLIENT_KEY,
    SidecarBackend,
    SidecarCooldown,
    SidecarSetting,
    Usage,
    backends_of,
    cooldown_of,
    setting_of,
    usage_of,
)
from providers.rules.usage import Sums
from providers.services.entries import entry_apply
from providers.services.pools import pool_save
from providers.sidecar_file import SidecarTables

KINDS = ("pools", "backends", "hourly usage", "daily stats", "cooldowns", "settings")
OUTCOMES = ("created", "updated", "unchanged", "skipped")
ROWS_AT_ONCE = 400
DESCRIPTION = "Imported from Sidecar."


@dataclass(slots=True)
class Report:
    """What has become of everything: how many of each kind, and what is to be said of some."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, outcome: str, name: str = "", *notes: str) -> None:
        """One more of a kind."""
        self.counts[kind][outcome] += 1
        self.notes += [f"{kind}, {name}, {outcome}: {note}" for note in notes if note]


@dataclass(frozen=True, slots=True)
class SidecarContents:
    """What is in a database, translated."""

    backends: list[SidecarBackend]
    usage: Usage
    cooldowns: list[SidecarCooldown]
    cooldowns_running: int
    settings: list[SidecarSetting]


def sidecar_contents(tables: SidecarTables, *, key: bytes | None, now: datetime) -> SidecarContents:
    """Translate everything. Raises BadRequest naming the row that is wrong."""
    backends = backends_of(tables.rows("backends"), key)
    ids = {each.theirs: _our_id(each) for each in backends}
    cooldowns = [cooldown_of(row, ids=ids, now=now) for row in tables.rows("cooldown_events")]
    return SidecarContents(
        backends=backends,
        usage=usage_of(
            tables.rows("backend_usage_logs"),
            tables.rows("daily_stats"),
            ids=ids,
            pools={each.theirs: each.pool for each in backends},
        ),
        cooldowns=[each for each in cooldowns if each is not None],
        cooldowns_running=cooldowns.count(None),
        settings=[setting_of(row) for row in tables.rows("system_config")],
    )


def _our_id(backend: SidecarBackend) -> str:
    found = _standing(backend)
    return found.id if found is not None else backend.id


def _standing(backend: SidecarBackend) -> Backend | None:
    by_id = Backend.objects.filter(id=backend.id).first()
    return by_id or Backend.objects.filter(name=backend.entry.values["name"]).first()


@transaction.atomic
def sidecar_import(contents: SidecarContents, *, dry_run: bool = False) -> Report:
    """Write it: all or nothing, and nothing at all at a dry run. Raises BadRequest naming the row that is wrong."""
    report = Report()
    for name in sorted({each.pool for each in contents.backends if not each.skipped}):
        _pool(name, report)
    for backend in contents.backends:
        _backend(backend, report)
    _hours(contents.usage.hours, report)
    for (day, pool), (sums, unique) in sorted(contents.usage.days.items()):
        _day(day, pool, sums, unique, report)
    _cooldowns(contents, report)
    _settings(contents.settings, report)
    if dry_run:
        transaction.set_rollback(True)
    return report


def _pool(name: str, report: Report) -> None:
    if Pool.objects.filter(name=name).exists():
        report.add("pools", "unchanged")
        return
    last = Pool.objects.aggregate(last=Max("order"))["last"]
    pool_save(Pool(name=name, order=(last or 0) + 10))
    report.add("pools", "created", name, "It is tried after the others; see to its order.")


def _backend(backend: SidecarBackend, report: Report) -> None:
    name = backend.entry.values["name"]
    if backend.skipped:
        report.add("backends", "skipped", name, backend.skipped)
        return
    applied = entry_apply(backend.entry, source=Backend.Source.IMPORT, backend=_standing(backend), new_id=backend.id)
    report.add("backends", applied.outcome, name, *backend.notes, *applied.notes)


def _columns(sums: Sums) -> dict[str, Any]:
    cost = None if sums.cost_usd is None else usd_from_picodollars(sums.cost_usd)
    return sums._asdict() | {"cost_usd": cost}


def _hours(hours: dict[tuple[datetime, str, str], Sums], report: Report) -> None:
    """Set the sums of the hours: rows of a client key of their own, so they are never mixed with the hub's own."""
    standing = {
        (row.hour, row.backend_id, row.model): row
        for row in HourlyUsage.objects.filter(client_key_id=CLIENT_KEY).iterator(chunk_size=ROWS_AT_ONCE)
    }
    new, changed = [], []
    for (hour, backend_id, model), sums in sorted(hours.items()):
        columns = _columns(sums)
        row = standing.get((hour, backend_id, model))
        if row is None:
            place = {"hour": hour, "backend_id": backend_id, "model": model, "client_key_id": CLIENT_KEY}
            new.append(HourlyUsage(id=short_id("use"), **place, **columns))
            report.add("hourly usage", "created")
        elif any(getattr(row, column) != value for column, value in columns.items()):
            for column, value in columns.items():
                setattr(row, column, value)
            changed.append(row)
            report.add("hourly usage", "updated")
        else:
            report.add("hourly usage", "unchanged")
    HourlyUsage.objects.bulk_create(new, batch_size=ROWS_AT_ONCE)
    for row in changed:
        row.save(update_fields=Sums._fields)


def _day(day: date, pool: str, sums: Sums, unique_backends: int, report: Report) -> None:
    """Add to a day what is new since the last import; the hub's own requests of that day stay counted."""
    row, _ = DailyStats.objects.select_for_update().get_or_create(date=day, pool=pool)
    before: dict[str, int | None] = row.imported or {}
    now = sums._asdict() | {"unique_backends": unique_backends}
    if before == now:
        report.add("daily stats", "unchanged")
        return
    for column, amount in sums._asdict().items():
        more = (amount or 0) - (before.get(column) or 0)
        if column != "cost_usd":
            setattr(row, column, getattr(row, column) + more)
        elif amount is not None or before.get(column) is not None:
            row.cost_usd = (row.cost_usd or 0) + usd_from_picodollars(more)
    # On the day of the move the same backends may have served both; a sum would count them twice.
    row.unique_backends = max(row.unique_backends, unique_backends)
    row.imported = now
    row.save()
    report.add("daily stats", "updated" if before else "created")


def _cooldowns(contents: SidecarContents, report: Report) -> None:
    names = dict(Backend.objects.values_list("id", "name"))
    standing: dict[str, CooldownEvent] = {}
    wanted = contents.cooldowns
    for first in range(0, len(wanted), ROWS_AT_ONCE):
        standing |= CooldownEvent.objects.in_bulk([each.id for each in wanted[first : first + ROWS_AT_ONCE]])
    new = []
    for each in wanted:
        columns = asdict(each) | {"reason": CooldownEvent.Reason.RATE_LIMITED.value}
        row = standing.get(each.id)
        if row is None:
            new.append(CooldownEvent(**columns, backend_name=names.get(each.backend_id, "")))
            report.add("cooldowns", "created")
        elif any(getattr(row, column) != value for column, value in columns.items()):
            CooldownEvent.objects.filter(id=each.id).update(**columns)
            report.add("cooldowns", "updated")
        else:
            report.add("cooldowns", "unchanged")
    CooldownEvent.objects.bulk_create(new, batch_size=ROWS_AT_ONCE)
    for _ in range(contents.cooldowns_running):
        report.add("cooldowns", "skipped")
    if contents.cooldowns_running:
        report.notes.append("cooldowns, skipped: some still run in Sidecar; an import after their end brings them.")


def _settings(settings: Iterable[SidecarSetting], report: Report) -> None:
    refused: list[SidecarSetting] = []
    for setting in settings:
        if not setting.name:
            report.add("settings", "skipped", setting.theirs, setting.note)
        elif not _set(setting, report):
            refused.append(setting)
    # Two that belong together are refused one before the other; the second time the other stands.
    for setting in refused:
        _set(setting, report, last=True)


def _set(setting: SidecarSetting, report: Report, *, last: bool = False) -> bool:
    try:
        before = setting_state(setting.name)
        with transaction.atomic():
            after = setting_set(key=setting.name, value=setting.value, description=before.description or DESCRIPTION)
            same = json.dumps(after.value) == json.dumps(before.value)
            if same:
                transaction.set_rollback(True)
    except Refused as problem:
        if last:
            report.add("settings", "skipped", setting.theirs, problem.message)
        return False
    outcome = "unchanged" if same else "created" if before.source == "default" else "updated"
    report.add("settings", outcome, setting.theirs, setting.note)
    return True
