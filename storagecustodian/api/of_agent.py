"""The management API of the checkpoints of one agent."""

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, fields_of, page_asked, text_asked
from agenthub.core.clock import utc_now
from agenthub.core.settings_store import runtime_settings
from storagecustodian.api.access import CheckpointParser
from storagecustodian.api.answers import kind_asked, listed, restored, saved, wants_any_version, with_state
from storagecustodian.api.management import ANY_VERSION, LIST_QUERY, TAGS
from storagecustodian.api.serializers import (
    CheckpointAnswer,
    CleanupAnswer,
    CleanupInput,
    RestoredAnswer,
    RollbackInput,
    SaveInput,
    StateAnswer,
)
from storagecustodian.models import Checkpoint
from storagecustodian.rules.retention import Retention
from storagecustodian.selectors import checkpoints, latest_of_agent
from storagecustodian.services.pruning import checkpoints_prune
from storagecustodian.services.restoring import checkpoint_rollback


class AgentCheckpointsView(ManagementView):
    """The checkpoints of an agent."""

    permission_model = Checkpoint
    parser_classes = (CheckpointParser,)
    operations: ClassVar = {
        "get": Operation(
            "agent_checkpoints_list",
            "List the checkpoints of an agent, newest first",
            answer=CheckpointAnswer,
            many=True,
            query=LIST_QUERY,
            tags=TAGS,
        ),
        "post": Operation(
            "agent_checkpoints_save",
            "Keep a state of an agent",
            answer=CheckpointAnswer,
            body=SaveInput,
            status=201,
            errors=(409,),
            tags=TAGS,
        ),
    }

    def get(self, request: Request, agent_id: str) -> Response:
        """They, without their states."""
        named = {name: text_asked(request, name) for name in ("task_id", "label")}
        rows = checkpoints(agent_id=agent_id, kind=kind_asked(request), **named)
        page = page_asked(request, rows if "\0" not in agent_id else [], default_limit=100)
        return Response(listed(page.rows), headers=page.headers)

    def post(self, request: Request, agent_id: str) -> Response:
        """Keep it."""
        return saved(request, agent_id, epoch=None)


class AgentLatestView(ManagementView):
    """The newest state of an agent."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "get": Operation(
            "agent_checkpoints_latest",
            "Read the newest state of an agent; damaged ones are passed over",
            answer=StateAnswer,
            query=(Query("task_id", help="Of one task."), ANY_VERSION),
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def get(self, request: Request, agent_id: str) -> Response:
        """It, with its state."""
        task_id, anyway = text_asked(request, "task_id"), wants_any_version(request)
        return with_state(latest_of_agent(agent_id.replace("\0", ""), task_id=task_id, any_version=anyway))


class AgentCleanupView(ManagementView):
    """Letting go of old ones."""

    permission_model = Checkpoint
    operations: ClassVar = {
        "post": Operation(
            "agent_checkpoints_cleanup",
            "Delete automatic checkpoints of an agent that are not to be kept",
            answer=CleanupAnswer,
            body=CleanupInput,
            tags=TAGS,
        )
    }

    def needed(self, method: str | None) -> str:
        """It deletes."""
        return "delete"

    def post(self, request: Request, agent_id: str) -> Response:
        """Delete them, or say which would go."""
        asked, values = fields_of(request, CleanupInput), runtime_settings()
        keep = Retention(
            count=asked.get("keep_count", values.checkpoint_keep_count),
            days=asked.get("keep_days", values.checkpoint_keep_days),
            size_bytes=asked.get("keep_bytes", values.checkpoint_keep_bytes),
        )
        dry_run = asked.get("dry_run", False)
        done = checkpoints_prune(keep=keep, now=utc_now(), agent_id=agent_id.replace("\0", ""), dry_run=dry_run)
        ids = [each for one in done for each in one.ids]
        return Response({"ids": ids, "bytes": sum(one.bytes for one in done), "dry_run": dry_run})


class AgentRollbackView(ManagementView):
    """Back by some checkpoints."""

    permission_model = Checkpoint
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "agent_checkpoints_rollback",
            "Go back by some checkpoints from the newest",
            answer=RestoredAnswer,
            body=RollbackInput,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def post(self, request: Request, agent_id: str) -> Response:
        """Go back; the agent is told to load its state anew."""
        asked = fields_of(request, RollbackInput)
        return restored(checkpoint_rollback(agent_id=agent_id.replace("\0", ""), by=str(request.user), **asked))
