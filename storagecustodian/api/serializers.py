"""What the APIs of checkpoints take and say."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from storagecustodian.models import Checkpoint
from storagecustodian.models.checkpoint import LONGEST_LABEL, LONGEST_NOTE
from storagecustodian.rules.diff import Diff
from storagecustodian.rules.kinds import GIVEN, Kind
from storagecustodian.rules.paths import LONGEST_ID
from storagecustodian.selectors import Loaded

KINDS = [kind.value for kind in Kind]


class StateField(serializers.JSONField):
    """A state: a JSON object of any content; the service checks it."""

    def to_internal_value(self, data: Any) -> Any:
        """The object as it came."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Give a JSON object, e.g. {}.")
        return data


class CheckpointAnswer(serializers.ModelSerializer[Checkpoint]):
    """A checkpoint, without its state."""

    kind = serializers.ChoiceField(choices=KINDS)

    class Meta:
        model = Checkpoint
        exclude = ("body", "encoding")


class LineAnswer(serializers.Serializer[Any]):
    """The counters of an agent."""

    epoch = serializers.IntegerField(help_text="Name it in the next write; it grows with each restore.")
    sequence = serializers.IntegerField(help_text="Of the newest checkpoint.")
    auto_iteration = serializers.IntegerField(help_text="Where the last automatic checkpoint was made.")
    auto_every = serializers.IntegerField(help_text="Iterations between two automatic checkpoints.")


class StateAnswer(CheckpointAnswer):
    """A checkpoint with its state."""

    version = serializers.CharField()
    serialized_at = serializers.CharField(help_text="ISO 8601; empty where an older document does not say.")
    state = StateField()
    line = LineAnswer()
    corrupt_skipped = serializers.ListField(
        child=serializers.CharField(), help_text="Newer checkpoints that are damaged and were passed over."
    )

    class Meta(CheckpointAnswer.Meta):
        exclude = ("body", "encoding")


class SaveInput(serializers.Serializer[Any]):
    """A state to keep."""

    state = StateField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in GIVEN], default=Kind.MANUAL.value)
    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, max_length=LONGEST_LABEL, trim_whitespace=False, help_text="Moves here."
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)
    pinned = serializers.BooleanField(required=False)
    epoch = serializers.IntegerField(
        required=False, min_value=0, max_value=2**62, help_text="The writer's; another one than the agent's is refused."
    )
    task_id = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_ID, trim_whitespace=False)
    iteration = serializers.IntegerField(required=False, min_value=-(2**62), max_value=2**62)


class ChangeInput(serializers.Serializer[Any]):
    """What may be changed of a checkpoint."""

    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, max_length=LONGEST_LABEL, trim_whitespace=False
    )
    pinned = serializers.BooleanField(required=False)
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)


class RestoreInput(serializers.Serializer[Any]):
    """How to restore."""

    agent_id = serializers.CharField(
        required=False, max_length=LONGEST_ID, trim_whitespace=False, help_text="Its own agent unless another is named."
    )
    reason = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)
    any_version = serializers.BooleanField(required=False, help_text="Try a document of a version that is not known.")


class OwnRestoreInput(serializers.Serializer[Any]):
    """How an agent restores one of its own."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)
    any_version = serializers.BooleanField(required=False, help_text="Try a document of a version that is not known.")


class RollbackInput(serializers.Serializer[Any]):
    """How far to go back."""

    steps = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)


class RestoredAnswer(serializers.Serializer[Any]):
    """What a restore did."""

    epoch = serializers.IntegerField(help_text="The new one; writes of the one before are refused.")
    checkpoint = CheckpointAnswer()
    pre_restore = CheckpointAnswer(allow_null=True, help_text="What was the latest before.")


class CleanupInput(serializers.Serializer[Any]):
    """What to keep; the settings unless given."""

    keep_count = serializers.IntegerField(required=False, min_value=1, max_value=100_000)
    keep_days = serializers.IntegerField(required=False, min_value=0, max_value=3650)
    keep_bytes = serializers.IntegerField(required=False, min_value=0, max_value=1024**4)
    dry_run = serializers.BooleanField(required=False, help_text="Only say what would go.")


class CleanupAnswer(serializers.Serializer[Any]):
    """What went, or would go."""

    ids = serializers.ListField(child=serializers.CharField())
    bytes = serializers.IntegerField()
    dry_run = serializers.BooleanField()


class ChangeAnswer(serializers.Serializer[Any]):
    """One difference."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(choices=["added", "removed", "changed"])
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class DiffAnswer(serializers.Serializer[Any]):
    """The differences of two states."""

    changes = ChangeAnswer(many=True)
    more = serializers.BooleanField(help_text="There are more than are shown.")


class OutcomeAnswer(serializers.Serializer[Any]):
    """What became of one checkpoint of an import."""

    source = serializers.CharField()  # type: ignore[assignment]
    outcome = serializers.ChoiceField(choices=["imported", "there already", "refused"])
    id = serializers.CharField()
    agent_id = serializers.CharField()
    message = serializers.CharField()


class DocumentAnswer(serializers.Serializer[Any]):
    """The document as it was saved."""

    version = serializers.CharField()
    serialized_at = serializers.CharField()
    state = StateField()


def state_answer(loaded: Loaded, *, auto_every: int) -> Mapping[str, Any]:
    """A checkpoint with its state, as an answer."""
    line = {name: getattr(loaded.line, name) for name in ("epoch", "sequence", "auto_iteration")}
    return {
        **CheckpointAnswer(loaded.checkpoint).data,
        "version": loaded.envelope.version,
        "serialized_at": loaded.envelope.serialized_at,
        "state": loaded.envelope.state,
        "line": line | {"auto_every": auto_every},
        "corrupt_skipped": list(loaded.corrupt_skipped),
    }


def diff_answer(found: Diff) -> Mapping[str, Any]:
    """Differences, as an answer."""
    return DiffAnswer(found).data
