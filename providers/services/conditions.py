"""The one place where the health of a backend is written, and told of where it matters."""

from django.db import transaction

from agenthub.core.events import AlertRaised, AlertResolved, publish
from agenthub.core.versions import bump
from providers.models import Backend, BackendHealth
from providers.rules.health import Condition
from providers.rules.table import HealthState

BACKEND_DOWN = "backend_down"

_ROUTED_BY = frozenset({HealthState.DEGRADED, HealthState.DOWN})
"""States that change where requests go; between the others no process need look again."""


def condition_of(health: BackendHealth | None) -> Condition:
    """How a backend is by its row; nothing is known without one."""
    return Condition() if health is None else Condition(HealthState(health.state), health.consecutive_failures)


@transaction.atomic
def condition_set(*, backend_id: str, condition: Condition, **columns: object) -> bool:
    """Note how a backend is, with other `columns` of BackendHealth; whether its state is another one now.

    False for one that is gone. Whoever decides by the row that it knows locks the backend first.
    """
    if not Backend.objects.select_for_update().filter(id=backend_id).values_list("id").first():
        return False
    known = BackendHealth.objects.filter(backend_id=backend_id).values_list("state", flat=True).first()
    before = HealthState(known) if known is not None else HealthState.UNKNOWN
    found = {"state": condition.state.value, "consecutive_failures": condition.failures, **columns}
    BackendHealth.objects.update_or_create(backend_id=backend_id, defaults=found)
    if before is condition.state:
        return False
    if {before, condition.state} & _ROUTED_BY:
        bump("routing")
    if condition.state is HealthState.DOWN:
        _tell_down(backend_id, condition.failures)
    elif before is HealthState.DOWN:
        tell_not_down(backend_id)
    return True


def _tell_down(backend_id: str, failures: int) -> None:
    name = Backend.objects.values_list("name", flat=True).get(id=backend_id)
    raised = AlertRaised(
        rule=BACKEND_DOWN,
        severity="critical",
        source=f"backend:{backend_id}",
        summary=f"The backend {name} is down: {failures} probes in a row have failed. It gets trials only.",
    )
    transaction.on_commit(lambda: publish(raised))


def tell_not_down(backend_id: str) -> None:
    """That a backend is down no longer, once the transaction is committed."""
    over = AlertResolved(rule=BACKEND_DOWN, source=f"backend:{backend_id}")
    transaction.on_commit(lambda: publish(over))
