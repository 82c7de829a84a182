"""`agenthub worker`: runs jobs, and starts those that are due."""

import warnings
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning
from django.core.management.base import BaseCommand

from agenthub.celery import app
from agenthub.core.events import LoopEnded, LoopTurned, publish

THREADS = 4
TURN_SECONDS = 5.0


class TurningScheduler(Scheduler):
    """Says after each look at what is due that it lives."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; the seconds until the next look."""
        seconds: float = super().tick(*args, **kwargs)
        publish(LoopTurned("scheduler"))
        return seconds


class AliveStep(StartStopStep):
    """Says that the worker lives, by a job of its own: one whose threads all hang runs nothing, whatever its loop
    does."""

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
        pool.apply_async(publish, (LoopTurned("worker"),), {}, callback=lambda _: None)


class BeatStep(StartStopStep):
    """The scheduler as a thread of the worker: a process of its own would cost as much memory again."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._beat = EmbeddedService(app, thread=True, scheduler_cls=TurningScheduler)

    def start(self, parent: Any) -> None:
        """Begin to send what is due."""
        self._beat.start()  # type: ignore[union-attr]

    def stop(self, parent: Any) -> None:
        """Send nothing more. The thread may sleep until its next tick, so nobody waits for it."""
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
