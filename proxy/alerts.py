"""What the request path tells people of: published off the path, and not more often than anybody can read."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from agenthub.core import clock
from agenthub.core.events import AlertRaised, AlertResolved, publish
from proxy.reporter import Reporter

REPEAT_SECONDS = 10.0
MOST_REMEMBERED = 10_000


class Alerts:
    """Raises alerts by way of the reporter; a repeat within seconds of the last one is left out."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._raised_at: dict[tuple[str, str, str], float] = {}

    def alert(
        self, rule: str, severity: str, source: str, summary: str, *, scope: str = "", details: Mapping[str, Any]
    ) -> None:
        """Have it written soon. Cheap enough for the path of a request that went wrong."""
        now, name = clock.monotonic_seconds(), (rule, source, scope)
        if now - self._raised_at.get(name, float("-inf")) < REPEAT_SECONDS:
            return
        if len(self._raised_at) >= MOST_REMEMBERED:
            self._raised_at.clear()
        self._raised_at[name] = now
        raised = AlertRaised(rule=rule, severity=severity, source=source, scope=scope, summary=summary, details=details)
        self._reporter.report(partial(publish, raised))

    def over(self, rule: str, source: str, *, scope: str = "") -> None:
        """What an alert told of is over."""
        self._raised_at.pop((rule, source, scope), None)
        self._reporter.report(partial(publish, AlertResolved(rule=rule, source=source, scope=scope)))
