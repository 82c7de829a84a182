"""The API of what agents report."""

import time
from collections import OrderedDict
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.agents import AgentIdentity
from agenthub.core.api import HouseView, Operation, Query, fields_of, number_asked, text_asked
from agenthub.core.clock import utc_now
from agenthub.core.errors import BadRequest, NotFound, RateLimited, RoleNotAllowed
from agenthub.core.events import ReportStored, publish
from agenthub.hub.api.callers import ALL, IsCaller, viewer_of
from agenthub.hub.models import Agent, AgentLog
from agenthub.hub.rules.frames import LOG_BYTES
from agenthub.hub.rules.limits import bucket_for
from agenthub.hub.rules.rate import Bucket
from agenthub.hub.selectors import agent_named, reports
from agenthub.hub.services.logs import Report, logs_store

TAGS = ("agents",)
USUAL, MOST, FURTHEST = 50, 200, 1_000_000
MOST_BUCKETS = 10_000

_buckets: OrderedDict[int, Bucket] = OrderedDict()


class ReportAnswer(serializers.Serializer[Any]):
    """One report."""

    id = serializers.IntegerField()
    agent_id = serializers.IntegerField()
    agent_name = serializers.CharField()
    level = serializers.CharField(help_text="INFO, SUCCESS, WARNING or ERROR.")
    content = serializers.CharField()
    timestamp = serializers.DateTimeField()


class ReportInput(serializers.Serializer[Any]):
    """A report."""

    agent_id = serializers.CharField(
        required=False, max_length=64, help_text="Number or name; an agent may leave it out, since it is its own."
    )
    level = serializers.ChoiceField(choices=AgentLog.Level.values)
    content = serializers.CharField(trim_whitespace=False, help_text=f"At most {LOG_BYTES} bytes.")


class ReportsView(HouseView):
    """Reports."""

    authentication_classes = ALL
    permission_classes = (IsCaller,)
    operations: ClassVar = {
        "get": Operation(
            "reports_list",
            "What agents have reported, the newest first",
            answer=ReportAnswer,
            many=True,
            paged=False,
            query=(
                Query("agent_id", help="Number or name of an agent."),
                Query("level", help="INFO, SUCCESS, WARNING or ERROR."),
                Query("q", help="Only those with this text in them."),
                Query("offset", int, help="From the so-manieth on."),
                Query("limit", int, help=f"At most so many: {USUAL}, and {MOST} at the most."),
            ),
            errors=(404,),
            tags=TAGS,
        ),
        "post": Operation(
            "reports_create",
            "Report something, as an agent or for one",
            answer=ReportAnswer,
            body=ReportInput,
            status=201,
            errors=(404, 429),
            tags=TAGS,
        ),
    }

    def get(self, request: Request) -> Response:
        """Those that the caller may see."""
        caller: Any = request.user
        if isinstance(caller, AgentIdentity):
            raise RoleNotAllowed("Agents report; people read it.")
        limit = number_asked(request, "limit", USUAL, at_least=1, at_most=MOST)
        offset = number_asked(request, "offset", 0, at_least=0, at_most=FURTHEST)
        level, name = text_asked(request, "level"), text_asked(request, "agent_id")
        if level and level not in AgentLog.Level.values:
            raise BadRequest(f"level must be one of {', '.join(AgentLog.Level.values)}.", param="level")
        found = reports(
            agent_id=_known(name).pk if name else None,
            level=level,
            q=text_asked(request, "q"),
            seen_by=viewer_of(request),
        )
        rows = list(found[offset : offset + limit])
        names = {agent.pk: agent.shown_name for agent in Agent.objects.filter(id__in={row.agent_id for row in rows})}
        return Response([_shown(row, names.get(row.agent_id, "")) for row in rows])

    def post(self, request: Request) -> Response:
        """Store one, and show it to those who watch."""
        values = fields_of(request, ReportInput)
        if len(values["content"].encode()) > LOG_BYTES:
            raise BadRequest(f"content is larger than {LOG_BYTES} bytes.", param="content")
        agent = _reporting(request, values.get("agent_id", ""))
        _bound(agent.pk)
        report = Report(agent_id=agent.pk, level=values["level"], content=values["content"], created_at=utc_now())
        number = logs_store([report])[0]
        publish(
            ReportStored(
                number=number,
                agent_id=agent.pk,
                agent_name=agent.shown_name,
                level=report.level,
                content=report.content,
            )
        )
        row = AgentLog(
            id=number,
            agent_id=agent.pk,
            level=report.level,
            content=report.content,
            created_at=report.created_at,
        )
        return Response(_shown(row, agent.shown_name), status=201)


def _shown(row: AgentLog, name: str) -> dict[str, Any]:
    about = {
        "id": row.pk,
        "agent_id": row.agent_id,
        "agent_name": name,
        "level": row.level,
        "content": row.content,
        "timestamp": row.created_at,
    }
    return dict(ReportAnswer(about).data)


def _reporting(request: Request, name: str) -> Agent:
    """The agent of which something is reported."""
    user: Any = request.user
    if isinstance(user, AgentIdentity):
        own = Agent.objects.get(id=int(user.id))
        if name not in ("", str(own.pk), own.username):
            raise RoleNotAllowed("An agent reports for itself only.")
        return own
    if not user.has_perm("hub.change_agent"):
        raise RoleNotAllowed("Only agents, Operators and Administrators report.")
    if not name:
        raise BadRequest("agent_id says of which agent it is reported.", param="agent_id")
    return _known(name)


def _known(name: str) -> Agent:
    found = agent_named(name) if "\0" not in name else None
    if found is None:
        raise NotFound(f"There is no agent {name[:64]}; GET /api/users/agents lists them.", param="agent_id")
    return found


def _bound(agent_id: int) -> None:
    """As many as on the WebSocket, for each process. Raises RateLimited."""
    while len(_buckets) >= MOST_BUCKETS:
        _buckets.popitem(last=False)
    bucket = _buckets.get(agent_id) or _buckets.setdefault(agent_id, _full())
    if wait := bucket.take(time.monotonic()):
        raise RateLimited("This agent reports too much; wait a moment.", retry_after_seconds=wait)


def _full() -> Bucket:
    bucket = bucket_for("SYSTEM_LOG", person=False)
    assert bucket is not None  # noqa: S101 - it is in the table
    return bucket
