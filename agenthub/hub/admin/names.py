"""What people call those whose numbers stand in rows."""

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from agenthub.hub.models import Participant


def named(rows: QuerySet[Any, Any], **columns: str) -> QuerySet[Any, Any]:
    """The rows, each with the names of the participants whose numbers stand in these columns."""
    names = {
        name: Subquery(Participant.objects.filter(id=OuterRef(column)).values("name")[:1])
        for name, column in columns.items()
    }
    found: QuerySet[Any, Any] = rows.annotate(**names)
    return found
