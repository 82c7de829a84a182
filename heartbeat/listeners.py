"""What heartbeat does about the news of other parts. Joined to the events by the root (`agenthub/apps.py`)."""

import os

from agenthub.core.events import AlertRaised, AlertResolved, LoopEnded, LoopTurned, subscribe
from agenthub.core.logs import PROCESS_NAME_VARIABLE
from heartbeat.beats import beats
from heartbeat.services.alerts import alert_raise, alert_resolve


def subscribe_all() -> None:
    """Hear what this process publishes from now on. Events of these kinds come from worker threads, so that what hears
    them may write to the database."""
    subscribe(AlertRaised, _raised)
    subscribe(AlertResolved, _resolved)
    # Only processes that `agenthub up` has started are expected to live: no command that a person runs is.
    if PROCESS_NAME_VARIABLE in os.environ:
        subscribe(LoopTurned, lambda event: beats.turned(event.part))
        subscribe(LoopEnded, lambda event: beats.ended(event.part))


def _raised(event: AlertRaised) -> None:
    alert_raise(
        rule=event.rule,
        severity=event.severity,
        source=event.source,
        scope=event.scope,
        summary=event.summary,
        details=event.details,
    )


def _resolved(event: AlertResolved) -> None:
    alert_resolve(rule=event.rule, source=event.source, scope=event.scope)
