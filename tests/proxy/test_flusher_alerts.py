from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from agenthub.core.events import AlertRaised, AlertResolved, subscribe
from heartbeat.models import Alert
from proxy import flusher as flusher_module
from proxy.flusher import Flusher
from proxy.journal import Journal
from tests.proxy.entries import ended

pytestmark = pytest.mark.django_db

MIB = 1024 * 1024


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, max_bytes=64 * MIB)
    yield journal
    journal.close()


@pytest.fixture
def flusher(tmp_path: Path) -> Iterator[Flusher]:
    flusher = Flusher(tmp_path)
    yield flusher
    flusher.close()


@pytest.fixture
def published() -> Iterator[list[object]]:
    """The alerts that are raised and resolved."""
    heard: list[object] = []
    ends = [subscribe(kind, heard.append) for kind in (AlertRaised, AlertResolved)]
    yield heard
    for end in ends:
        end()


def test_a_journal_that_fills_raises_an_alert_until_it_has_room(
    journal: Journal, flusher: Flusher, monkeypatch: pytest.MonkeyPatch, published: list[object]
) -> None:
    monkeypatch.setattr(flusher_module, "_SECONDS_BETWEEN_ALERTS", 0)
    monkeypatch.setenv("AGENTHUB_JOURNAL_MAX_BYTES", str(MIB))
    while journal.size_bytes < 0.85 * MIB:
        journal.end(ended())
    flusher.flush()
    for _ in range(2):
        flusher._check_size()
        flusher._tell()
    alert = Alert.objects.get()
    assert (alert.rule, alert.severity, alert.state, alert.count) == ("journal_filling", "critical", "firing", 2)
    assert alert.details == {"bytes": flusher.size_bytes, "max_bytes": MIB}

    monkeypatch.setenv("AGENTHUB_JOURNAL_MAX_BYTES", str(2 * MIB))
    for _ in range(2):
        flusher._check_size()
        flusher._tell()
    assert Alert.objects.get().state == "resolved"
    assert [type(event) for event in published] == [AlertRaised, AlertRaised, AlertResolved]


def test_an_alert_waits_for_the_database_and_outlives_other_faults(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    faults: list[Exception] = [OperationalError("the database is away"), ValueError("a fault of a listener")]
    calls: list[object] = []

    def fail(event: object) -> None:
        calls.append(event)
        if faults:
            raise faults.pop(0)

    flusher._news = [AlertResolved(rule="a", source="b"), AlertResolved(rule="c", source="d")]
    monkeypatch.setattr(flusher_module, "publish", fail)
    monkeypatch.setattr(connection, "close", lambda: None)  # it holds this test's transaction
    flusher._tell()
    assert len(flusher._news) == 2
    flusher._tell()
    assert flusher._news == []
    assert [event.rule for event in calls] == ["a", "a", "c"]  # type: ignore[attr-defined]
    assert caplog.messages == ["alert_failed"]
