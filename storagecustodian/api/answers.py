"""What the management API and the agents' API do alike."""

from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import fields_of, text_asked
from agenthub.core.errors import BadRequest
from agenthub.core.settings_store import runtime_settings
from storagecustodian.api.serializers import CheckpointAnswer, RestoredAnswer, SaveInput, diff_answer, state_answer
from storagecustodian.models import Checkpoint
from storagecustodian.rules.diff import diff
from storagecustodian.rules.kinds import Kind
from storagecustodian.selectors import Loaded, checkpoint_load
from storagecustodian.services.bundles import bundle_lines
from storagecustodian.services.changing import checkpoints_report_damaged
from storagecustodian.services.restoring import Restored
from storagecustodian.services.saving import checkpoint_save

NDJSON = "application/x-ndjson"


def wants_any_version(request: Request) -> bool:
    """Whether the query asks to try a document of a version that is not known."""
    return text_asked(request, "any_version") in ("1", "true", "yes")


def with_state(loaded: Loaded) -> Response:
    """The answer of a checkpoint with its state; damaged ones that were passed over are reported."""
    if loaded.corrupt_skipped:
        checkpoints_report_damaged(loaded.corrupt_skipped)
    return Response(state_answer(loaded, auto_every=runtime_settings().checkpoint_auto_iterations))


def saved(request: Request, agent_id: str, *, epoch: int | None) -> Response:
    """Keep the state in the body; `epoch` where the body names none."""
    values = {"epoch": epoch} | fields_of(request, SaveInput)
    checkpoint = checkpoint_save(agent_id=agent_id, **values)
    return Response(CheckpointAnswer(checkpoint).data, status=201)


def restored(done: Restored) -> Response:
    """The answer of a restore."""
    answer = {"epoch": done.epoch, "checkpoint": done.checkpoint, "pre_restore": done.pre_restore}
    return Response(RestoredAnswer(answer).data)


def compared(request: Request, checkpoint_id: str, *, agent_id: str | None) -> Response:
    """What differs from the checkpoint of the query's `with` to this one."""
    other = text_asked(request, "with")
    if not other:
        raise BadRequest("Name the other checkpoint in ?with=.", param="with")
    before, after = (checkpoint_load(each, agent_id=agent_id) for each in (other, checkpoint_id))
    return Response(diff_answer(diff(before.envelope.state, after.envelope.state)))


def exported(rows: Any, name: str) -> StreamingHttpResponse:
    """A bundle, as a file."""
    lines = bundle_lines(rows)
    answer = StreamingHttpResponse(lines, content_type=NDJSON)
    answer["Content-Disposition"] = f'attachment; filename="{name}.ndjson"'
    answer["X-Accel-Buffering"] = "no"
    return answer


def kind_asked(request: Request) -> str:
    """A kind out of the query, "" without one. Raises BadRequest."""
    kind = text_asked(request, "kind")
    if kind and kind not in set(Kind):
        raise BadRequest(f"kind must be one of {', '.join(Kind)}.", param="kind")
    return kind


def listed(rows: list[Checkpoint]) -> Any:
    """Checkpoints without their states, as answers."""
    return CheckpointAnswer(rows, many=True).data
