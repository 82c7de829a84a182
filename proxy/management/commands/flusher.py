"""`agenthub flusher`: bring the usage journal into the database.

Not called `flush`: that is Django's own command to empty the database, which its tests rely on.
"""

import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from proxy.flusher import Flusher

BACKGROUND = 5
"""How much the flusher gives way. On one core that is saturated it still gets a quarter of it, which is about its
share: a record costs it a third of what a request costs the web process."""


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT, flushes once more and ends; `--once` flushes what is there and ends."""

    help = "Bring the usage journal into the database; runs until it is stopped."
    # The checks would load the addresses and the admin, for which a flusher has no use.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options of the command."""
        parser.add_argument("--once", action="store_true", help="flush what is there now, say how much, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Flush for ever, or once."""
        flusher = Flusher(settings.ENVIRONMENT.journal_dir)
        if options["once"]:
            count = flusher.flush()
            flusher.close()
            self.stdout.write(f"{count} usage records written to the database.")
            return
        # It works in bursts of some ten milliseconds; where cores are few, requests come first.
        os.nice(BACKGROUND)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        flusher.run(stop)
