"""What heartbeat does about the news of other parts. Joined to the events by the root (`agenthub/apps.py`)."""

from agenthub.core.events import AlertRaised, AlertResolved, subscribe
from heartbeat.services.alerts import alert_raise, alert_resolve


def subscribe_all() -> None:
    """Hear what this process publishes from now on. Events of these kinds come from worker threads, so that what hears
    them may write to the database."""
    subscribe(AlertRaised, _raised)
    subscribe(AlertResolved, _resolved)


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
