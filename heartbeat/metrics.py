"""The statuses of components as metrics."""

from prometheus_client import Counter, Gauge

from heartbeat.models import Component
from heartbeat.rules.lateness import ComponentStatus

MOST_COMPONENTS = 1_000
"""Names beyond these make no time series."""

component_status = Gauge(
    "agenthub_component_status",
    "1 for the status of a component, 0 for the others.",
    ["component", "status"],
    multiprocess_mode="mostrecent",
)

_shown: dict[str, str] = {}


def components_show() -> None:
    """Bring the gauge up to date."""
    rows = dict(Component.objects.order_by("name").values_list("name", "status")[:MOST_COMPONENTS])
    for name in _shown.keys() - rows.keys():
        _set(name, "")
        del _shown[name]
    for name, status in rows.items():
        if _shown.get(name) != status:
            _set(name, status)
            _shown[name] = status


def _set(name: str, current: str) -> None:
    # All of them: a worker before this one may have left others behind.
    for status in ComponentStatus:
        component_status.labels(name, status.value).set(status == current)


job_runs_total = Counter("agenthub_job_runs", "Runs of jobs that have ended, by how they did.", ["state"])
