"""`agenthub worker`: runs jobs, and finds those that are due."""

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection
from kombu.exceptions import OperationalError as BrokerAway

from agenthub.celery import app
from agenthub.core.clock import utc_now
from agenthub.core.events import LoopEnded, LoopTurned, publish
from heartbeat.local import components_check
from heartbeat.registry import definitions
from heartbeat.running import run_execute
from heartbeat.services.jobs import jobs_seed
from heartbeat.services.runs import runs_reap
from heartbeat.services.ticks import jobs_tick, runs_to_wake
from heartbeat.tasks import job_run

log = logging.getLogger(__name__)

THREADS = 8
TURN_SECONDS = 5.0
TICK_SECONDS = 1.0
"""Every worker looks each second for what is due, so that of a scheduler that dies another is in its place at once."""

WAKE_EXPIRES_SECONDS = 60


class TickingScheduler(Scheduler):
    """Writes down what is due and wakes workers; that of every worker does, and the table decides between them."""

    run_here: Callable[[int], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._local_at = 0.0
        self._seeded = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One look at what is due; the seconds until the next."""
        began = time.monotonic()
        try:
            if not self._seeded:
                jobs_seed(definitions().values())
                self._seeded = True
            self._look()
        except (DatabaseError, InterfaceError) as problem:
            # Found again with the next look: nothing is lost but time.
            log.warning("tick_failed", extra={"reason": str(problem).strip()})
            connection.close()
        except Exception:  # the edge of the scheduler: it must go on, whatever one look has met
            log.exception("tick_failed")
        publish(LoopTurned("scheduler"))
        return max(0.05, TICK_SECONDS - (time.monotonic() - began))

    def _look(self) -> None:
        now = utc_now()
        runs_reap(now=now)
        jobs_tick(now=now)
        for run_id in runs_to_wake(now=now):
            self._wake(run_id)

    def _wake(self, run_id: int) -> None:
        try:
            job_run.apply_async((run_id,), expires=WAKE_EXPIRES_SECONDS, retry=False)
        except (BrokerAway, OSError) as problem:
            # The message only wakes; without a broker this worker does what it has found.
            log.warning("broker_away", extra={"reason": str(problem).strip()})
            type(self).run_here(run_id)


class AliveStep(StartStopStep):
    """Says that the worker lives, by a job of its own: one whose threads all hang runs nothing, whatever its loop
    does. What each machine has to look after by itself is done at the same pace."""

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._every: Any = None

    def start(self, parent: Any) -> None:
        """Begin with it."""
        self._every = parent.timer.call_repeatedly(TURN_SECONDS, self._ask, (parent.pool,))

    def stop(self, parent: Any) -> None:
        """Say that it is not to be expected any more."""
        if self._every is not None:
            self._every.cancel()
        for part in ("scheduler", "worker"):
            publish(LoopEnded(part))

    def _ask(self, pool: Any) -> None:
        _apply(pool, publish, LoopTurned("worker"))
        _apply(pool, components_check)


def _apply(pool: Any, function: Callable[..., Any], *args: Any) -> None:
    pool.apply_async(function, args, {}, callback=lambda _: None)


class BeatStep(StartStopStep):
    """The scheduler as a thread of the worker: a process of its own would cost as much memory again."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._beat = EmbeddedService(app, thread=True, scheduler_cls=TickingScheduler)

    def start(self, parent: Any) -> None:
        """Begin to look for what is due."""
        TickingScheduler.run_here = staticmethod(lambda run_id: _apply(parent.pool, run_execute, run_id))
        self._beat.start()  # type: ignore[union-attr]

    def stop(self, parent: Any) -> None:
        """Look no more. The thread may sleep until its next tick, so nobody waits for it."""
        self._beat.service.stop(wait=False)  # type: ignore[union-attr]


class Command(BaseCommand):
    """The job worker with its scheduler; a child of `agenthub up`."""

    help = "Run jobs and their schedule until SIGTERM."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until SIGTERM; jobs that run then may finish."""
        app.steps["worker"].update((BeatStep, AliveStep))
        # Only JSON is accepted, so that a worker of root, as in a container, is in no danger from a message.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        worker = app.Worker(
            pool="threads",
            concurrency=THREADS,
            without_heartbeat=True,
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        worker.start()
