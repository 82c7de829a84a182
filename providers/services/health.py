"""The rolling figures of backends, out of the records of the last minutes."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from providers.models import Backend, BackendHealth, UsageRecord
from providers.rules.health import LiveFigures, Try, live_figures

WINDOW = timedelta(minutes=5)
LARGEST_SAMPLE = 20_000
"""Newest records that are looked at; a busier hub has its figures from a shorter time than five minutes."""


def backend_figures_refresh(*, now: datetime) -> int:
    """Bring success_rate_5m, last_latency_ms and last_status_code of all backends up to date; how many changed.

    Without requests in the last five minutes the success rate is unknown, and what was seen last stays.
    """
    seen = live_figures(_tries(now))
    stored = {health.backend_id: health for health in BackendHealth.objects.all()}
    count = 0
    for backend_id in sorted(Backend.objects.values_list("id", flat=True)):
        count += _store(backend_id, seen.get(backend_id, LiveFigures(None, None, None)), stored.get(backend_id))
    return count


def _tries(now: datetime) -> Iterator[Try]:
    """The attempts of the newest records, oldest first."""
    records = UsageRecord.objects.filter(ended_at__gt=now - WINDOW).exclude(backend_id="").order_by("-ended_at")
    for trail in reversed(list(records.values_list("trail", flat=True)[:LARGEST_SAMPLE])):
        for backend_id, outcome, status, _, elapsed_ms in trail:
            yield Try(backend_id, outcome, status, elapsed_ms)


@transaction.atomic
def _store(backend_id: str, figures: LiveFigures, stored: BackendHealth | None) -> bool:
    wanted: dict[str, object] = {"success_rate_5m": figures.success_rate}
    if figures.last_latency_ms is not None:
        wanted["last_latency_ms"] = figures.last_latency_ms
    if figures.last_status_code is not None:
        wanted["last_status_code"] = figures.last_status_code
    known = {name: getattr(stored, name, None) for name in wanted}
    if known == wanted:
        return False
    if not Backend.objects.select_for_update().filter(id=backend_id).values_list("id").first():
        return False  # deleted meanwhile
    BackendHealth.objects.update_or_create(backend_id=backend_id, defaults=wanted)
    return True
