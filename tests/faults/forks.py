"""A journal writer and a flusher as forked processes that die at any instant, and what must be true afterwards."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from django.db import DatabaseError, connection, connections
from django.db.models import Sum

from agenthub.core.clock import epoch_microseconds
from providers.models import DailyBackend, DailyStats, HourlyUsage, JournalPosition, UsageRecord
from proxy.flusher import Flusher
from proxy.journal import Journal
from tests.proxy.entries import begun, ended

MIB = 1024 * 1024
OPEN_AT_ONCE = 6


def fork(work: Callable[[], object]) -> int:
    """Run `work` in a child that shares nothing with this process but its memory of now; the answer is its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(1)


def kill(pid: int) -> None:
    """End a child at once, wherever it is, and take it away."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def write_for_ever(folder: Path, notes: Path, seed: int) -> NoReturn:
    """A web process without the web: requests begin and end in the journal, and what was promised is noted.

    The note of an end stands for the last byte that the client gets: it is written when `end` has come back.
    """
    chance = random.Random(seed)
    journal = Journal(folder, max_bytes=64 * MIB, segment_bytes=8_000)
    note = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    running: list[str] = []
    while True:
        if len(running) < OPEN_AT_ONCE:
            beginning = begun(started_at_us=epoch_microseconds(), model=f"m{chance.randrange(3)}")
            journal.begin(beginning)
            os.write(note, f"begun {beginning.id}\n".encode())
            running.append(beginning.id)
        if chance.random() < 0.6:
            record_id = running.pop(chance.randrange(len(running)))
            tokens = chance.randrange(1, 1_000)
            journal.end(
                ended(
                    record_id,
                    started_at_us=epoch_microseconds(),
                    model=f"m{chance.randrange(3)}",
                    backend_id=f"bkd_{chance.randrange(4)}",
                    pool=chance.choice(["primary", "fallback"]),
                    output_tokens=tokens,
                    cost_picousd=chance.choice([None, tokens * 7]),
                )
            )
            os.write(note, f"ended {record_id} {tokens}\n".encode())
        time.sleep(0.0003)


def flush_for_ever(folder: Path) -> NoReturn:
    """A flusher that never rests, on a connection of its own."""
    forget_connections()
    flusher = Flusher(folder)
    while True:
        try:
            flusher.flush()
        except DatabaseError:
            connection.close()
        time.sleep(0.001)


def forget_connections() -> None:
    """In a child: leave the parent's connections alone and make new ones, without a pool."""
    settings = connections.settings["default"]
    settings["OPTIONS"] = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    del connections["default"]


def kill_at_random(folder: Path, notes: Path, *, kills: int, seed: int) -> None:
    """Keep two writers and two flushers running, and kill one of them again and again."""
    chance = random.Random(seed)
    connections["default"].close()
    if hasattr(connections["default"], "close_pool"):
        connections["default"].close_pool()
    starts: list[Callable[[], int]] = [
        lambda: fork(lambda: write_for_ever(folder, notes, chance.randrange(2**32))),
        lambda: fork(lambda: flush_for_ever(folder)),
    ] * 2
    children = [start() for start in starts]
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.06))
            victim = chance.randrange(len(children))
            kill(children[victim])
            children[victim] = starts[victim]()
            chance.random()
    finally:
        for pid in children:
            kill(pid)


def drain(folder: Path) -> None:
    """Bring into the database what the dead have left."""
    flusher = Flusher(folder)
    flusher.flush()
    flusher.flush()  # damage in a segment that looked alive is judged at the second sight
    flusher.close()


def assert_nothing_lost_nothing_double(folder: Path, notes: Path) -> int:
    """Compare the promises with the ledger; the answer is how many requests there were."""
    lines = [line.split() for line in notes.read_text().rpartition("\n")[0].splitlines()]
    promised = {line[1]: int(line[2]) for line in lines if line[0] == "ended"}
    began = {line[1] for line in lines if line[0] == "begun"}
    records = {record.id: record for record in UsageRecord.objects.all()}

    lost = began - records.keys()
    assert not lost, f"{len(lost)} requests have no record"
    changed = [
        record_id
        for record_id, tokens in promised.items()
        if (records[record_id].error_type, records[record_id].output_tokens) != ("", tokens)
    ]
    assert not changed, f"{len(changed)} finished requests are recorded as something else"
    for sums in (HourlyUsage, DailyStats):
        assert sums.objects.aggregate(n=Sum("request_count"))["n"] == len(records)
    _assert_sums_equal()
    assert DailyBackend.objects.count() == DailyStats.objects.aggregate(n=Sum("unique_backends"))["n"]
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".new")] == []
    assert not JournalPosition.objects.filter(closed=False).exists()
    return len(records)


def _assert_sums_equal() -> None:
    wanted = UsageRecord.objects.aggregate(
        **{name: Sum(name) for name in ("input_tokens", "output_tokens", "cost_usd")}
    )
    for sums in (HourlyUsage, DailyStats):
        assert sums.objects.aggregate(**{name: Sum(name) for name in wanted}) == wanted
