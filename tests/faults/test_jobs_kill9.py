"""Schedulers and workers of jobs that die at any instant, over thousands of ticks of a clock that the test moves."""

import mmap
import os
import random
import struct
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

import pytest
from django.db import DatabaseError, InterfaceError, connection, connections

from heartbeat.models import Job, JobRun
from heartbeat.rules.jobs import OPEN, RunState
from heartbeat.rules.schedule import ticks
from heartbeat.services.jobs import job_register
from heartbeat.services.runs import Ended, run_claim, run_finish, runs_reap
from heartbeat.services.ticks import jobs_tick, runs_to_wake
from tests.faults.forks import forget_connections, fork, kill

TICKS = int(os.environ.get("TORTURE_JOB_TICKS", "600"))
PROCESSES = 5
START = datetime(2026, 3, 10, 12, tzinfo=UTC)
PERIODS = (1, 2, 3, 5)  # seconds
BEHIND_SECONDS = 20
"""How far the clock goes before those that have to follow it."""


class Clock:
    """A time that all processes share, and that only the test moves."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(0.0)

    def set(self, seconds: float) -> None:
        self._memory[:8] = struct.pack("d", seconds)

    @property
    def seconds(self) -> float:
        return float(struct.unpack("d", self._memory[:8])[0])

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


def work_for_ever(clock: Clock, notes: Path) -> NoReturn:
    """Scheduler and worker in one: what it does is noted, and that it has said so."""
    forget_connections()
    note = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        woken: list[int] = []
        try:
            runs_reap(now=clock.now)
            jobs_tick(now=clock.now)
            woken = runs_to_wake(now=clock.now)
            for run_id in woken:
                claim = run_claim(run_id=run_id, worker=f"pid {os.getpid()}", now=clock.now, able=lambda _: True)
                if claim is None:
                    continue
                os.write(note, f"done {run_id} {claim.attempt}\n".encode())
                time.sleep(0.05 if run_id % 8 == 0 else 0)  # the work
                if run_finish(claim=claim, ended=Ended(RunState.OK), now=clock.now):
                    os.write(note, f"said {run_id} {claim.attempt}\n".encode())
        except (DatabaseError, InterfaceError):
            connection.close()
        time.sleep(0.001 if woken else 0.01)


def expected(job: Job, end: datetime) -> list[datetime]:
    return list(takewhile(lambda tick: tick <= end, ticks(job.timing, START)))


def all_done(end: datetime) -> bool:
    if Job.objects.filter(next_due__lte=end).exists():
        return False
    return not JobRun.objects.filter(state__in=OPEN, scheduled_for__lte=end).exists()


@pytest.mark.timeout(120 + TICKS // 10)
@pytest.mark.usefixtures("on_postgres")
def test_each_tick_is_run_once_whoever_dies(tmp_path: Path) -> None:
    jobs = [
        job_register(
            key=f"each-{seconds}",
            values={
                "kind": "reminder",
                "parameters": {"message": "m"},
                "every_seconds": seconds,
                "overlap": "allow",
                "misfire": "all",
                "grace_seconds": 86_400,
                "retries": 10,
            },
        )
        for seconds in PERIODS
    ]
    for job in jobs:
        Job.objects.filter(id=job.pk).update(next_due=next(ticks(job.timing, START)))
    end_seconds = TICKS / sum(1 / period for period in PERIODS)
    end = START + timedelta(seconds=end_seconds)
    clock, notes, chance = Clock(), tmp_path / "notes", random.Random()
    connections["default"].close()
    if hasattr(connections["default"], "close_pool"):
        connections["default"].close_pool()

    def start() -> int:
        return fork(lambda: work_for_ever(clock, notes))

    children = [start() for _ in range(PROCESSES)]
    kills = 0
    try:
        while clock.seconds < end_seconds:
            victim = chance.randrange(PROCESSES)
            kill(children[victim])
            children[victim] = start()
            kills += 1
            for _ in range(chance.randrange(12)):
                time.sleep(0.005)
                if (clock.now - timedelta(seconds=BEHIND_SECONDS)) < oldest_due():
                    clock.set(min(end_seconds, clock.seconds + 1.0))
        # The leases of the dead are over a little later; what they held is done by others.
        until = time.monotonic() + 60
        while not all_done(end):
            assert time.monotonic() < until, "what was due is not done"
            clock.set(clock.seconds + 0.05)
            time.sleep(0.005)
    finally:
        for pid in children:
            kill(pid)
    for job in jobs:
        found = JobRun.objects.filter(job=job, scheduled_for__lte=end).order_by("scheduled_for")
        assert [run.scheduled_for for run in found] == expected(job, end)
        assert Counter(run.state for run in found) == {"ok": len(found)}
    words = [line.split() for line in notes.read_text().splitlines()]
    said = Counter(run_id for word, run_id, _ in words if word == "said")
    done = Counter((run_id, attempt) for word, run_id, attempt in words if word == "done")
    assert set(said.values()) == {1}
    assert set(done.values()) == {1}  # no attempt was another's
    again = sum(run.attempt > 1 for run in JobRun.objects.all())
    print(f"{JobRun.objects.count()} ticks, {kills} kills, {again} runs taken over")
    assert kills > 10


def oldest_due() -> datetime:
    found = Job.objects.order_by("next_due").values_list("next_due", flat=True).first()
    assert found is not None
    return found
