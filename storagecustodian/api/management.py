"""The management API of one checkpoint, and of all of them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, fields_of, page_asked, text_asked
from agenthub.core.api_access import administers
from agenthub.core.errors import BadRequest, RequestTooLarge, RoleNotAllowed
from storagecustodian.api.access import CheckpointParser
from storagecustodian.api.answers import (
    NDJSON,
    compared,
    exported,
    kind_asked,
    listed,
    restored,
    wants_any_version,
    with_state,
)
from storagecustodian.api.serializers import (
    ChangeInput,
    CheckpointAnswer,
    DiffAnswer,
    DocumentAnswer,
    OutcomeAnswer,
    RestoredAnswer,
    RestoreInput,
    StateAnswer,
)
from storagecustodian.models import Checkpoint
from storagecustodian.selectors import (
    checkpoint_load,
    checkpoint_named,
    checkpoints,
    document_of,
    latest_of_agent,
    latest_of_task,
)
from storagecustodian.services.bundles import bundle_import
from storagecustodian.services.changing import checkpoint_delete, checkpoint_update
from storagecustodian.services.restoring import checkpoint_restore

TAGS = ("checkpoints",)
ANY_VERSION = Query("any_version", bool, "Try a document of a version that is not known.")
LIST_QUERY = (
    Query("task_id", help="Only those of a task."),
    Query("kind", help="Only those that were made so."),
    Query("label", help="Only the one with this label."),
)


class CheckpointsView(ManagementView):
    """All checkpoints."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_list",
            "List checkpoints of all agents, newest first",
            answer=CheckpointAnswer,
            many=True,
            query=(Query("agent_id", help="Only those of an agent."), *LIST_QUERY),
            tags=TAGS,
        )
    }

    def get(self, request: Request) -> Response:
        """They, without their states."""
        named = {name: text_asked(request, name) for name in ("agent_id", "task_id", "label")}
        page = page_asked(request, checkpoints(kind=kind_asked(request), **named), default_limit=100)
        return Response(listed(page.rows), headers=page.headers)


class LatestView(ManagementView):
    """The newest of a task, whichever agent it is of."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_latest_of_task",
            "Read the newest state of a task",
            answer=StateAnswer,
            query=(
                Query("task_id", help="The task."),
                Query("agent_id", help="Only what this agent saved."),
                ANY_VERSION,
            ),
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, request: Request) -> Response:
        """It, with its state."""
        task_id, agent_id = text_asked(request, "task_id"), text_asked(request, "agent_id")
        if not task_id:
            raise BadRequest("Name the task in ?task_id=.", param="task_id")
        anyway = wants_any_version(request)
        if agent_id:
            return with_state(latest_of_agent(agent_id, task_id=task_id, any_version=anyway))
        return with_state(latest_of_task(task_id, any_version=anyway))


class CheckpointView(ManagementView):
    """One checkpoint."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_read",
            "Read a checkpoint with its state",
            answer=StateAnswer,
            query=(ANY_VERSION,),
            errors=(404, 409),
            tags=TAGS,
        ),
        "patch": Operation(
            "checkpoints_update",
            "Label, pin or annotate a checkpoint",
            answer=CheckpointAnswer,
            body=ChangeInput,
            errors=(404,),
            tags=TAGS,
        ),
        "delete": Operation(
            "checkpoints_delete", "Delete a checkpoint", answer=CheckpointAnswer, errors=(404,), tags=TAGS
        ),
    }

    def get(self, request: Request, checkpoint_id: str) -> Response:
        """It, with its state."""
        return with_state(checkpoint_load(checkpoint_id, any_version=wants_any_version(request)))

    def patch(self, request: Request, checkpoint_id: str) -> Response:
        """Change what is given."""
        changed = checkpoint_update(checkpoint_id=checkpoint_id, **fields_of(request, ChangeInput))
        return Response(CheckpointAnswer(changed).data)

    def delete(self, _request: Request, checkpoint_id: str) -> Response:
        """Delete it; the answer is what it was."""
        answer = CheckpointAnswer(checkpoint_named(checkpoint_id)).data
        checkpoint_delete(checkpoint_id=checkpoint_id)
        return Response(answer)


class RestoreView(ManagementView):
    """Back to a checkpoint."""

    permission_model = Checkpoint
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "checkpoints_restore",
            "Restore a checkpoint; for another agent, administrators only",
            answer=RestoredAnswer,
            body=RestoreInput,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def post(self, request: Request, checkpoint_id: str) -> Response:
        """Restore it; the agent is told to load its state anew."""
        values = fields_of(request, RestoreInput)
        administrator = administers(request)
        return restored(
            checkpoint_restore(checkpoint_id=checkpoint_id, by=str(request.user), administrator=administrator, **values)
        )


class DiffView(ManagementView):
    """Two checkpoints beside each other."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_diff",
            "What differs from another checkpoint to this one",
            answer=DiffAnswer,
            query=(Query("with", help="The other checkpoint."),),
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, request: Request, checkpoint_id: str) -> Response:
        """The differences."""
        return compared(request, checkpoint_id, agent_id=None)


class DownloadView(ManagementView):
    """The document as it was saved."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_download",
            "Download the document of a checkpoint as it was saved",
            answer=DocumentAnswer,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, _request: Request, checkpoint_id: str) -> HttpResponse:
        """It, byte for byte."""
        return download(checkpoint_load(checkpoint_id, any_version=True).checkpoint)


def download(checkpoint: Checkpoint) -> HttpResponse:
    """The document of a checkpoint as a file. Raises CheckpointCorrupt."""
    answer = HttpResponse(document_of(checkpoint), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{checkpoint.sequence:012d}-{checkpoint.id}.json"'
    return answer


class ExportView(ManagementView):
    """Many checkpoints in one file."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "checkpoints_export",
            "Export checkpoints of an agent, or of all, as lines of JSON",
            answer=DocumentAnswer,
            texts=(NDJSON,),
            query=(Query("agent_id", help="Only those of an agent."), *LIST_QUERY),
            errors=(409,),
            tags=TAGS,
        )
    }

    def get(self, request: Request) -> StreamingHttpResponse:
        """A bundle."""
        named = {name: text_asked(request, name) for name in ("agent_id", "task_id", "label")}
        return exported(checkpoints(kind=kind_asked(request), **named), "checkpoints")


class BundleParser(BaseParser):
    """The lines of a bundle, whatever its content type says."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The lines. Raises RequestTooLarge."""
        body = stream.read(CheckpointParser.most_bytes + 1)
        if len(body) > CheckpointParser.most_bytes:
            raise RequestTooLarge(f"The bundle is larger than {CheckpointParser.most_bytes} bytes; import it in parts.")
        return body.split(b"\n")


class ImportView(ManagementView):
    """Checkpoints out of a file."""

    permission_model = Checkpoint
    parser_classes = (BundleParser,)
    operations: ClassVar = {
        "post": Operation(
            "checkpoints_import",
            "Import a bundle, all of it or nothing; what is there already stays as it is",
            answer=OutcomeAnswer,
            many=True,
            paged=False,
            body=DocumentAnswer,
            texts=(NDJSON,),
            query=(Query("agent_id", help="For this agent instead of those in the bundle; administrators only."),),
            errors=(409,),
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """Keep them."""
        agent_id = text_asked(request, "agent_id")
        if agent_id and not administers(request):
            raise RoleNotAllowed("Only administrators bring checkpoints to another agent; leave agent_id out.")
        lines: Any = request.data
        if not isinstance(lines, list):  # no body at all
            raise BadRequest("The body must hold a bundle of checkpoints.")
        return Response([asdict(outcome) for outcome in bundle_import(lines, agent_id=agent_id)])
