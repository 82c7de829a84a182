"""The beats of this process: its loops say that they turn, and a thread writes it down twice in each interval.

So a beat proves that the loop turns, and a database that is slow or away holds up no loop.
"""

import logging
import os
import socket
import threading

from django.db import DatabaseError, connection

from agenthub.core.logs import PROCESS_NAME_VARIABLE
from heartbeat.rules.components import Kind, component_name
from heartbeat.rules.lateness import INTERVAL_SECONDS
from heartbeat.services.components import component_leave, component_seen

log = logging.getLogger(__name__)

BEAT_SECONDS = INTERVAL_SECONDS / 2
AGAIN_SECONDS = 3.0
"""Time until a beat that could not be written is tried again: well before it would be missed."""


def node_name() -> str:
    """The name of this machine, or of its container."""
    return socket.gethostname()


def own_name(part: str) -> str:
    """What a part of this process is called as a component."""
    return component_name(os.environ.get(PROCESS_NAME_VARIABLE) or part, part, node_name())


class Beats:
    """The parts of one process that have turned since they were written down last."""

    def __init__(self) -> None:
        self._turned: set[str] = set()
        self._known: set[str] = set()
        self._news = threading.Event()  # a part that is new is written down at once
        self._lock = threading.Lock()  # never held while the database is asked: loops wait for it
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def turned(self, part: str) -> None:
        """The loop of a part has gone round. Cheap, from any thread, as often as it likes."""
        if part in self._turned:
            return
        with self._lock:
            self._turned.add(part)
            if part not in self._known:
                self._known.add(part)
                self._news.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="beats", daemon=True)
                self._thread.start()

    def ended(self, part: str) -> None:
        """The loop of a part has ended in good order. Writes to the database at once."""
        with self._lock:
            if part not in self._known:
                return
            self._known.discard(part)
            self._turned.discard(part)
        with self._writing:
            try:
                component_leave(name=own_name(part))
            except DatabaseError as problem:
                log.warning("leave_failed", extra={"part": part, "reason": str(problem).strip()})
                connection.close()

    def write(self) -> bool:
        """Write down who has turned since the last time; False if the database did not take it."""
        with self._lock:
            turned, self._turned = self._turned, set()
        missed = [part for part in sorted(turned) if not self._written(part)]
        return not missed

    def _written(self, part: str) -> bool:
        with self._writing:
            try:
                if part in self._known:
                    component_seen(name=own_name(part), kind=Kind(part))
            except DatabaseError as problem:
                log.warning("beat_delayed", extra={"part": part, "reason": str(problem).strip()})
                connection.close()
                self._turned.add(part)
                return False
        return True

    def _run(self) -> None:
        wait_seconds = 0.0
        while True:
            self._news.wait(wait_seconds)
            self._news.clear()
            try:
                wait_seconds = BEAT_SECONDS if self.write() else AGAIN_SECONDS
            except Exception:  # the edge of this thread: it must go on, whatever one beat has met
                log.exception("beat_failed")
                wait_seconds = AGAIN_SECONDS


beats = Beats()
"""Those of this process."""
