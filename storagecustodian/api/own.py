"""The API of checkpoints for agents, by their own token: each its own, below /api/agent/checkpoints."""

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import Operation, Query, fields_of, page_asked, text_asked
from storagecustodian.api.access import AgentView, agent_id_of
from storagecustodian.api.answers import (
    compared,
    kind_asked,
    listed,
    restored,
    saved,
    wants_any_version,
    with_state,
)
from storagecustodian.api.management import ANY_VERSION, LIST_QUERY
from storagecustodian.api.serializers import (
    ChangeInput,
    CheckpointAnswer,
    DiffAnswer,
    OwnRestoreInput,
    RestoredAnswer,
    RollbackInput,
    SaveInput,
    StateAnswer,
)
from storagecustodian.selectors import checkpoint_load, checkpoint_named, checkpoints, latest_of_agent
from storagecustodian.services.changing import checkpoint_delete, checkpoint_update
from storagecustodian.services.restoring import checkpoint_restore, checkpoint_rollback

TAGS = ("agents",)


class OwnCheckpointsView(AgentView):
    """The agent's checkpoints."""

    operations: ClassVar = {
        "get": Operation(
            "own_checkpoints_list",
            "List one's own checkpoints, newest first",
            answer=CheckpointAnswer,
            many=True,
            query=LIST_QUERY,
            tags=TAGS,
        ),
        "post": Operation(
            "own_checkpoints_save",
            "Keep a state of one's own",
            answer=CheckpointAnswer,
            body=SaveInput,
            status=201,
            errors=(409,),
            tags=TAGS,
        ),
    }

    def get(self, request: Request) -> Response:
        """They, without their states."""
        named = {name: text_asked(request, name) for name in ("task_id", "label")}
        rows = checkpoints(agent_id=agent_id_of(request), kind=kind_asked(request), **named)
        page = page_asked(request, rows, default_limit=100)
        return Response(listed(page.rows), headers=page.headers)

    def post(self, request: Request) -> Response:
        """Keep it. A writer that names no epoch has never loaded since a restore, so it is of epoch 0."""
        return saved(request, agent_id_of(request), epoch=0)


class OwnLatestView(AgentView):
    """The agent's newest state."""

    operations: ClassVar = {
        "get": Operation(
            "own_checkpoints_latest",
            "Read one's newest state; damaged ones are passed over",
            answer=StateAnswer,
            query=(Query("task_id", help="Of one task."), ANY_VERSION),
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, request: Request) -> Response:
        """It."""
        task_id, anyway = text_asked(request, "task_id"), wants_any_version(request)
        return with_state(latest_of_agent(agent_id_of(request), task_id=task_id, any_version=anyway))


class OwnRollbackView(AgentView):
    """Back by some checkpoints."""

    operations: ClassVar = {
        "post": Operation(
            "own_checkpoints_rollback",
            "Go back by some checkpoints from one's newest",
            answer=RestoredAnswer,
            body=RollbackInput,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """Go back."""
        asked = fields_of(request, RollbackInput)
        return restored(checkpoint_rollback(agent_id=agent_id_of(request), by=str(request.user), **asked))


class OwnCheckpointView(AgentView):
    """One of the agent's checkpoints."""

    operations: ClassVar = {
        "get": Operation(
            "own_checkpoints_read",
            "Read a checkpoint of one's own with its state",
            answer=StateAnswer,
            query=(ANY_VERSION,),
            errors=(404, 409),
            tags=TAGS,
        ),
        "patch": Operation(
            "own_checkpoints_update",
            "Label, pin or annotate a checkpoint of one's own",
            answer=CheckpointAnswer,
            body=ChangeInput,
            errors=(404,),
            tags=TAGS,
        ),
        "delete": Operation(
            "own_checkpoints_delete",
            "Delete a checkpoint of one's own",
            answer=CheckpointAnswer,
            errors=(404,),
            tags=TAGS,
        ),
    }

    def get(self, request: Request, checkpoint_id: str) -> Response:
        """It, with its state."""
        anyway = wants_any_version(request)
        return with_state(checkpoint_load(checkpoint_id, agent_id=agent_id_of(request), any_version=anyway))

    def patch(self, request: Request, checkpoint_id: str) -> Response:
        """Change what is given."""
        asked = fields_of(request, ChangeInput)
        changed = checkpoint_update(checkpoint_id=checkpoint_id, agent_id=agent_id_of(request), **asked)
        return Response(CheckpointAnswer(changed).data)

    def delete(self, request: Request, checkpoint_id: str) -> Response:
        """Delete it; the answer is what it was."""
        answer = CheckpointAnswer(checkpoint_named(checkpoint_id, agent_id=agent_id_of(request))).data
        checkpoint_delete(checkpoint_id=checkpoint_id, agent_id=agent_id_of(request))
        return Response(answer)


class OwnRestoreView(AgentView):
    """Back to one of the agent's checkpoints."""

    operations: ClassVar = {
        "post": Operation(
            "own_checkpoints_restore",
            "Restore a checkpoint of one's own",
            answer=RestoredAnswer,
            body=OwnRestoreInput,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def post(self, request: Request, checkpoint_id: str) -> Response:
        """Restore it."""
        asked, agent_id = fields_of(request, OwnRestoreInput), agent_id_of(request)
        return restored(
            checkpoint_restore(checkpoint_id=checkpoint_id, agent_id=agent_id, by=str(request.user), **asked)
        )


class OwnDiffView(AgentView):
    """Two of the agent's checkpoints beside each other."""

    operations: ClassVar = {
        "get": Operation(
            "own_checkpoints_diff",
            "What differs from another checkpoint of one's own to this one",
            answer=DiffAnswer,
            query=(Query("with", help="The other checkpoint."),),
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, request: Request, checkpoint_id: str) -> Response:
        """The differences."""
        return compared(request, checkpoint_id, agent_id=agent_id_of(request))
