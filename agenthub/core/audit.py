"""The audit trail: who changed what, when, from what to what. What AgentHub sets by itself is not in it."""

from auditlog.registry import auditlog
from django.db.models import Model

CHANGED = "changed"


def track(
    model: type[Model], *, secrets: tuple[str, ...] = (), without: tuple[str, ...] = (), many: tuple[str, ...] = ()
) -> None:
    """Put every change of `model` by save() or delete() into the trail; `secrets` only as the word that they changed.

    Statements such as QuerySet.update() leave no trace: services use them for what AgentHub finds out itself. `many`
    names many-to-many fields to follow.
    """
    auditlog.register(
        model,
        exclude_fields=list(without),
        mask_fields=list(secrets),
        mask_callable="agenthub.core.audit.secret_shown",
        m2m_fields=set(many),
    )


def secret_shown(value: str) -> str:
    """What the trail shows instead of a secret: whether there was one."""
    return "" if value in ("", "None") else CHANGED
