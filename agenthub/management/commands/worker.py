"""`agenthub worker`: runs jobs, and starts those that are due."""

import warnings
from typing import Any

from celery.beat import EmbeddedService
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning
from django.core.management.base import BaseCommand

from agenthub.celery import app

THREADS = 4


class BeatStep(StartStopStep):
    """The scheduler as a thread of the worker: a process of its own would cost as much memory again."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._beat = EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler")

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
        app.steps["worker"].add(BeatStep)
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
