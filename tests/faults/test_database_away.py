"""The database goes away under load and comes back: the journal holds everything meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection
from psycopg import sql

from providers.models import HourlyUsage, UsageRecord
from proxy.flusher import Flusher
from proxy.journal import Journal
from tests.proxy.entries import ended

MIB = 1024 * 1024


@pytest.fixture
def flushing(on_postgres: None, tmp_path: Path) -> Iterator[Path]:
    """A flusher at work in a thread of its own, on the folder of the answer."""
    stop = threading.Event()

    def run() -> None:
        Flusher(tmp_path).run(stop)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield tmp_path
    stop.set()
    thread.join()


def wait_until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def allow_connections(server: str, name: str, allowed: bool) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed))
        )
        if not allowed:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_what_happens_meanwhile_is_recorded_once(
    flushing: Path, postgres_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = connection.settings_dict["NAME"]
    journal = Journal(flushing, max_bytes=64 * MIB)
    journal.end(ended("before"))
    wait_until(lambda: UsageRecord.objects.count() == 1)
    connection.close()

    allow_connections(postgres_server, name, False)
    for number in range(500):
        journal.end(ended(f"meanwhile{number}"))
    wait_until(lambda: "journal_flush_waits" in caplog.messages)
    allow_connections(postgres_server, name, True)

    def arrived() -> bool:
        try:
            return UsageRecord.objects.count() == 501
        except OperationalError:
            connection.close()  # this test's own connection was ended too
            return False

    wait_until(arrived)
    assert HourlyUsage.objects.get().request_count == 501
    journal.close()
