"""What each worker looks after for its own machine, besides the jobs that one of all workers does."""

import logging
from threading import BoundedSemaphore

from django.db import DatabaseError, InterfaceError, connection

from agenthub.core.clock import epoch_seconds
from heartbeat import checks
from heartbeat.beats import node_name

log = logging.getLogger(__name__)

# A pass that waits for something slow leaves the threads of the worker to others; the next pass takes what is due.
_checking = BoundedSemaphore(1)


def components_check() -> int:
    """Run the checks of components that are due here; how many were."""
    if not _checking.acquire(blocking=False):
        return 0
    try:
        return checks.components_check(now=epoch_seconds(), node=node_name())
    except (DatabaseError, InterfaceError) as problem:
        log.warning("checks_failed", extra={"reason": str(problem).strip()})
        return 0
    finally:
        connection.close()  # this is no task, after which Celery would
        _checking.release()
