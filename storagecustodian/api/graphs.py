"""LangGraph threads for agents, below /api/agent/graphs: one POST for each thing that a saver does.

Ids of threads hold any characters, so they are in the bodies. The values are bytes of the saver's making, in base64:
nothing of them is opened here.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.client.graphwire import CheckpointRow, Query, row_from_json, row_to_json, writes_from_json
from agenthub.core.api import Operation, fields_of
from agenthub.core.errors import BadRequest, CheckpointTooLarge
from agenthub.core.settings_store import runtime_settings
from storagecustodian.api.access import AgentView, agent_id_of
from storagecustodian.models.graph import LONGEST_CHANNEL, LONGEST_NAMESPACE, LONGEST_VERSION
from storagecustodian.rules.paths import LONGEST_ID
from storagecustodian.threads import PAGE, HubThreads

TAGS = ("agents",)
MOST_ROWS = 5_000


def _text(longest: int, *, empty: bool = False, **more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=longest, allow_blank=empty, trim_whitespace=False, **more)


class ValueShape(serializers.Serializer[Any]):
    """The value of a channel at a version."""

    channel = _text(LONGEST_CHANNEL)
    version = _text(LONGEST_VERSION)
    kind = _text(32)
    body = serializers.CharField(allow_blank=True, help_text="Base64.")


class WriteShape(serializers.Serializer[Any]):
    """What a task has written."""

    task_id = _text(LONGEST_ID)
    idx = serializers.IntegerField(min_value=-(2**31), max_value=2**31 - 1)
    task_path = _text(LONGEST_NAMESPACE, empty=True)
    channel = _text(LONGEST_CHANNEL)
    kind = _text(32)
    body = serializers.CharField(allow_blank=True, help_text="Base64.")


class PlaceShape(serializers.Serializer[Any]):
    """A checkpoint of a thread, or its newest."""

    thread_id = _text(LONGEST_ID)
    namespace = _text(LONGEST_NAMESPACE, empty=True)
    checkpoint_id = _text(LONGEST_ID, allow_null=True, required=False)


class RowShape(serializers.Serializer[Any]):
    """A checkpoint with values and writes."""

    thread_id = _text(LONGEST_ID)
    namespace = _text(LONGEST_NAMESPACE, empty=True)
    checkpoint_id = _text(LONGEST_ID)
    parent_id = _text(LONGEST_ID, empty=True)
    run_id = _text(LONGEST_ID, empty=True, required=False, default="")
    metadata = serializers.DictField()
    versions = serializers.DictField(child=_text(LONGEST_VERSION))
    inline = serializers.ListField(child=_text(LONGEST_CHANNEL), max_length=MOST_ROWS)
    kind = _text(32)
    body = serializers.CharField(allow_blank=True, help_text="Base64.")
    values = ValueShape(many=True)
    writes = WriteShape(many=True)


class WritesShape(serializers.Serializer[Any]):
    """Writes after a checkpoint."""

    thread_id = _text(LONGEST_ID)
    namespace = _text(LONGEST_NAMESPACE, empty=True)
    checkpoint_id = _text(LONGEST_ID)
    writes = WriteShape(many=True)


class QueryShape(serializers.Serializer[Any]):
    """Which checkpoints are meant; what is left out or null means any."""

    thread_id = _text(LONGEST_ID, allow_null=True, required=False)
    namespace = _text(LONGEST_NAMESPACE, empty=True, allow_null=True, required=False)
    checkpoint_id = _text(LONGEST_ID, allow_null=True, required=False)
    before = _text(LONGEST_ID, allow_null=True, required=False)
    metadata = serializers.DictField(required=False)
    limit = serializers.IntegerField(min_value=1, allow_null=True, required=False)
    after = serializers.ListField(
        child=_text(LONGEST_NAMESPACE, empty=True),
        min_length=3,
        max_length=3,
        allow_null=True,
        required=False,
        help_text="The last one of the page before: checkpoint, thread, namespace.",
    )


class PageShape(serializers.Serializer[Any]):
    """Some checkpoints, newest first."""

    rows = RowShape(many=True)
    more = serializers.BooleanField()


class FoundShape(serializers.Serializer[Any]):
    """A checkpoint, or none."""

    row = RowShape(allow_null=True)


class ThreadShape(serializers.Serializer[Any]):
    """A thread."""

    thread_id = _text(LONGEST_ID)


class RunsShape(serializers.Serializer[Any]):
    """Runs."""

    run_ids = serializers.ListField(child=_text(LONGEST_ID), max_length=MOST_ROWS)


class CopyShape(serializers.Serializer[Any]):
    """From where to where."""

    source = _text(LONGEST_ID)  # type: ignore[assignment]
    target = _text(LONGEST_ID)


class PruneShape(serializers.Serializer[Any]):
    """Which threads, and what stays."""

    thread_ids = serializers.ListField(child=_text(LONGEST_ID), max_length=MOST_ROWS)
    strategy = serializers.ChoiceField(choices=["keep_latest", "delete"])


class DoneShape(serializers.Serializer[Any]):
    """It is done."""

    done = serializers.BooleanField()


class GraphView(AgentView):
    """A thing that a saver does."""

    def threads(self, request: Request) -> HubThreads:
        """The agent's own."""
        return HubThreads(agent_id_of(request))

    def done(self) -> Response:
        """The answer of what has no other."""
        return Response({"done": True})


def _does(name: str, summary: str, body: Any, answer: Any = DoneShape, errors: tuple[int, ...] = ()) -> Any:
    operation = Operation(f"graphs_{name}", summary, answer=answer, body=body, errors=errors, tags=TAGS)
    return {"post": operation}


class GraphPutView(GraphView):
    """Keep a checkpoint."""

    operations: ClassVar = _does("put", "Keep a checkpoint of a thread with its values and writes", RowShape)

    def post(self, request: Request) -> Response:
        """Keep it, all or nothing."""
        self.threads(request).put(_row(fields_of(request, RowShape)))
        return self.done()


class GraphWritesView(GraphView):
    """Keep writes."""

    operations: ClassVar = _does("writes", "Keep what a task has written after a checkpoint", WritesShape)

    def post(self, request: Request) -> Response:
        """Keep them, all or nothing."""
        asked = fields_of(request, WritesShape)
        rows = _decoded(lambda: writes_from_json(asked["writes"]))
        _bounded(sum(len(one.body) for one in rows))
        place = (asked["thread_id"], asked["namespace"], asked["checkpoint_id"])
        self.threads(request).put_writes(*place, rows)
        return self.done()


class GraphGetView(GraphView):
    """Read a checkpoint."""

    operations: ClassVar = _does("get", "Read a checkpoint of a thread, or its newest", PlaceShape, FoundShape)

    def post(self, request: Request) -> Response:
        """It, or null."""
        asked = fields_of(request, PlaceShape)
        row = self.threads(request).get(asked["thread_id"], asked["namespace"], asked.get("checkpoint_id"))
        return Response({"row": None if row is None else row_to_json(row)})


class GraphListView(GraphView):
    """Read many."""

    operations: ClassVar = _does("list", f"Read up to {PAGE} checkpoints, newest first", QueryShape, PageShape)

    def post(self, request: Request) -> Response:
        """Some of them, and whether there are more."""
        asked = {name: value for name, value in fields_of(request, QueryShape).items() if value is not None}
        if "after" in asked:
            asked["after"] = tuple(asked["after"])
        rows, more = self.threads(request).page(Query(**asked))
        return Response({"rows": [row_to_json(row) for row in rows], "more": more})


class GraphDeleteThreadView(GraphView):
    """Delete a thread."""

    operations: ClassVar = _does("delete_thread", "Delete all of a thread", ThreadShape)

    def post(self, request: Request) -> Response:
        """Delete it."""
        self.threads(request).delete_thread(fields_of(request, ThreadShape)["thread_id"])
        return self.done()


class GraphDeleteRunsView(GraphView):
    """Delete what runs have made."""

    operations: ClassVar = _does("delete_runs", "Delete what some runs have made", RunsShape)

    def post(self, request: Request) -> Response:
        """Delete it."""
        self.threads(request).delete_for_runs(fields_of(request, RunsShape)["run_ids"])
        return self.done()


class GraphCopyView(GraphView):
    """Copy a thread."""

    operations: ClassVar = _does("copy", "Copy all of a thread into an empty one", CopyShape, errors=(409,))

    def post(self, request: Request) -> Response:
        """Copy it."""
        asked = fields_of(request, CopyShape)
        self.threads(request).copy_thread(asked["source"], asked["target"])
        return self.done()


class GraphPruneView(GraphView):
    """Prune threads."""

    operations: ClassVar = _does("prune", "Keep the newest checkpoint of each namespace, or nothing", PruneShape)

    def post(self, request: Request) -> Response:
        """Prune them."""
        asked = fields_of(request, PruneShape)
        self.threads(request).prune(asked["thread_ids"], asked["strategy"])
        return self.done()


def _row(asked: Mapping[str, Any]) -> CheckpointRow:
    row: CheckpointRow = _decoded(lambda: row_from_json(asked))
    values, writes = (sum(len(one.body) for one in rows) for rows in (row.values, row.writes))
    _bounded(len(row.body) + values + writes)
    return row


def _decoded(decode: Any) -> Any:
    try:
        return decode()
    except ValueError:
        raise BadRequest("A body is no base64.", param="body") from None


def _bounded(size: int) -> None:
    most = runtime_settings().checkpoint_max_bytes
    if size > most:
        raise CheckpointTooLarge(f"The values have {size} bytes; checkpoint_max_bytes is {most}.")
