"""Reports of agents become rows, many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agenthub.hub.models import AgentLog


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is to be stored. `fields` is a JSON object or nothing."""

    agent_id: int
    level: str
    content: str
    created_at: datetime
    fields: str = ""


def logs_store(reports: Sequence[Report]) -> list[int]:
    """Store reports; their numbers."""
    rows = [
        AgentLog(
            agent_id=report.agent_id,
            level=report.level,
            content=report.content,
            fields=report.fields,
            created_at=report.created_at,
        )
        for report in reports
    ]
    return [row.pk for row in AgentLog.objects.bulk_create(rows)]
