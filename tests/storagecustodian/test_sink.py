"""CHECKPOINT frames."""

import pytest

from agenthub.core.agents import CheckpointSink, checkpoint_sink
from agenthub.core.errors import CheckpointTooLarge, StateNotStorable
from storagecustodian.models import Checkpoint
from storagecustodian.services.restoring import checkpoint_restore

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink() -> CheckpointSink:
    """The one that the root has filled in."""
    return checkpoint_sink()


def test_the_last_one_of_each_open_task_comes_back(sink: CheckpointSink) -> None:
    sink.save("7", "t/1", 1, {"at": "a"}, "")
    sink.save("7", "t/2", 1, {"at": "x"}, "")
    last = sink.save("7", "t/1", 2, {"at": "b"}, "half way")
    sink.save("70", "t/1", 9, {}, "")
    tasks = sink.open_tasks("7")
    assert [task.task_id for task in tasks] == ["t/1", "t/2"]
    assert tasks[0].checkpoint == {"id": last, "n": 2, "state": {"at": "b"}, "note": "half way", "epoch": 0}
    sink.close_task("7", "t/1", "completed")
    assert [task.task_id for task in sink.open_tasks("7")] == ["t/2"]


def test_a_frame_that_is_sent_again_is_the_same_checkpoint(sink: CheckpointSink) -> None:
    first = sink.save("7", "t", 1, {"at": 1}, "")
    assert sink.save("7", "t", 1, {"at": 1}, "") == first
    assert sink.save("7", "t", 1, {"at": 2}, "") != first
    assert Checkpoint.objects.count() == 2


def test_frames_are_bounded_and_checked(sink: CheckpointSink) -> None:
    with pytest.raises(CheckpointTooLarge):
        sink.save("7", "t", 1, {"text": "x" * 65_536}, "")
    with pytest.raises(StateNotStorable):
        sink.save("7", "t", 1, {"x": float("nan")}, "")
    with pytest.raises(StateNotStorable):
        sink.save("7", "t\0", 1, {}, "")
    assert Checkpoint.objects.count() == 0


def test_after_a_restore_the_restored_one_comes_back(sink: CheckpointSink) -> None:
    first = sink.save("7", "t", 1, {"at": 1}, "")
    sink.save("7", "t", 2, {"at": 2}, "")
    checkpoint_restore(checkpoint_id=first, by="ann")
    (task,) = sink.open_tasks("7")
    assert (task.checkpoint["id"], task.checkpoint["epoch"]) == (first, 1)
