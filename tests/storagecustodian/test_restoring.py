"""Restore and rollback."""

import pytest
from auditlog.models import LogEntry

from agenthub.core.errors import CheckpointForbidden, CheckpointNotFound, StaleEpoch
from storagecustodian.models import Checkpoint, Restore
from storagecustodian.selectors import checkpoint_load, latest_of_agent
from storagecustodian.services.changing import checkpoint_delete, checkpoint_update
from storagecustodian.services.restoring import checkpoint_restore, checkpoint_rollback
from storagecustodian.services.saving import checkpoint_save
from tests.storagecustodian.directory import Directory
from tests.storagecustodian.factories import state
from tests.storagecustodian.test_saving import damage

pytestmark = pytest.mark.django_db


def save(*iterations: int, agent_id: str = "7") -> list[Checkpoint]:
    return [checkpoint_save(agent_id=agent_id, state=state(n)) for n in iterations]


def latest(agent_id: str = "7") -> int:
    return int(latest_of_agent(agent_id).envelope.state["iteration"])


def test_what_was_the_latest_is_kept_before_the_head_moves() -> None:
    first, second, third = save(1, 2, 3)
    done = checkpoint_restore(checkpoint_id=first.id, by="ann", reason="went wrong")
    assert (done.epoch, done.checkpoint.id) == (1, first.id)
    assert done.pre_restore is not None
    kept = checkpoint_load(done.pre_restore.id)
    assert (kept.checkpoint.kind, kept.envelope.state["iteration"]) == ("pre_restore", 3)
    assert latest() == 1
    row = Restore.objects.get()
    assert (row.by, row.reason, row.checkpoint_id, row.pre_restore_id) == (
        "ann",
        "went wrong",
        first.id,
        kept.checkpoint.id,
    )
    assert Checkpoint.objects.filter(id__in=[second.id, third.id]).count() == 2


def test_a_damaged_newest_after_a_restore_does_not_bring_back_what_was_left() -> None:
    first, *_ = save(1, 2, 3)
    checkpoint_restore(checkpoint_id=first.id, by="ann")
    (after,) = save(10)
    damage(after)
    found = latest_of_agent("7")
    assert (found.envelope.state["iteration"], found.corrupt_skipped) == (1, (after.id,))


def test_one_may_go_back_to_what_was_left_and_from_there_on() -> None:
    one, two, _ = save(1, 2, 3)
    checkpoint_restore(checkpoint_id=one.id, by="ann")
    save(11, 12)
    checkpoint_restore(checkpoint_id=two.id, by="ann")
    assert latest() == 2
    (after,) = save(21)
    damage(after)
    assert latest() == 2
    damage(two)
    assert latest() == 1


def test_rollbacks_go_back_along_the_line_and_not_by_numbers() -> None:
    one, *_ = save(1, 2, 3)
    checkpoint_rollback(agent_id="7", by="ann", steps=2)
    assert latest() == 1
    save(4, 5)
    assert checkpoint_rollback(agent_id="7", by="ann").checkpoint.iteration == 4
    assert checkpoint_rollback(agent_id="7", by="ann").checkpoint.id == one.id
    with pytest.raises(CheckpointNotFound):
        checkpoint_rollback(agent_id="7", by="ann")
    assert Restore.objects.count() == 3


def test_another_agents_checkpoint_needs_an_administrator_and_comes_as_a_copy() -> None:
    (theirs,) = save(5, agent_id="8")
    save(1)
    with pytest.raises(CheckpointForbidden):
        checkpoint_restore(checkpoint_id=theirs.id, agent_id="7", by="ann")
    done = checkpoint_restore(checkpoint_id=theirs.id, agent_id="7", by="root", administrator=True)
    assert (done.checkpoint.agent_id, done.checkpoint.kind) == ("7", "restored")
    assert (latest("7"), latest("8")) == (5, 5)
    assert Checkpoint.objects.filter(agent_id="8").count() == 1
    with pytest.raises(StaleEpoch):
        checkpoint_save(agent_id="7", state=state(2), epoch=0)


@pytest.mark.django_db(transaction=True)
def test_the_agent_is_told_to_load_anew_once_it_is_committed(directory: Directory) -> None:
    (first,) = save(1)
    checkpoint_restore(checkpoint_id=first.id, by="ann")
    assert directory.reloaded == ["7"]


def test_restores_and_changes_by_people_are_in_the_audit_trail() -> None:
    first, second = save(1, 2)
    before = LogEntry.objects.count()
    checkpoint_restore(checkpoint_id=first.id, by="ann")
    checkpoint_update(checkpoint_id=second.id, pinned=True, label="safe")
    checkpoint_delete(checkpoint_id=second.id)
    entries = LogEntry.objects.order_by("id")[before:]
    assert [(entry.content_type.model, entry.action) for entry in entries] == [
        ("restore", LogEntry.Action.CREATE),
        ("checkpoint", LogEntry.Action.UPDATE),
        ("checkpoint", LogEntry.Action.DELETE),
    ]
    assert entries[1].changes_dict == {"pinned": ["False", "True"], "label": ["", "safe"]}
