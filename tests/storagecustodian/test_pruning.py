"""Retention: what goes and what never does."""

from datetime import timedelta

import pytest

from agenthub.core.clock import utc_now
from agenthub.core.errors import BadRequest
from agenthub.core.settings_store import setting_set
from heartbeat import jobs
from storagecustodian.models import Checkpoint
from storagecustodian.rules.retention import Retention
from storagecustodian.services import pruning
from storagecustodian.services.changing import checkpoint_update
from storagecustodian.services.pruning import checkpoints_prune
from storagecustodian.services.restoring import checkpoint_restore
from storagecustodian.services.saving import checkpoint_save
from tests.storagecustodian.factories import state

pytestmark = pytest.mark.django_db


def save(count: int, *, agent_id: str = "7", kind: str = "auto", task_id: str = "t_1") -> list[str]:
    made = [checkpoint_save(agent_id=agent_id, state=state(n, task_id=task_id), kind=kind) for n in range(count)]
    return [one.id for one in made]


def left(agent_id: str = "7") -> list[str]:
    return list(Checkpoint.objects.filter(agent_id=agent_id).order_by("sequence").values_list("id", flat=True))


def test_the_newest_of_each_agent_and_task_stay() -> None:
    mine, other_task, others = save(8), save(4, task_id="t_2"), save(2, agent_id="8")
    checkpoints_prune(keep=Retention(count=3), now=utc_now())
    assert left() == mine[-3:] + other_task[-3:]
    assert left("8") == others


def test_manual_labelled_pinned_and_restored_ones_stay() -> None:
    manual = save(2, kind="manual")
    ids = save(8)
    checkpoint_update(checkpoint_id=ids[0], label="good")
    checkpoint_update(checkpoint_id=ids[1], pinned=True)
    checkpoint_restore(checkpoint_id=ids[2], by="ann")
    checkpoints_prune(keep=Retention(count=1), now=utc_now())
    newest = Checkpoint.objects.get(kind="pre_restore").id
    assert left() == [*manual, *ids[:3], newest]


def test_the_head_stays_whatever_its_age_and_size() -> None:
    ids = save(3)
    checkpoints_prune(keep=Retention(count=5, days=1), now=utc_now() + timedelta(days=400))
    assert left() == ids[-1:]
    ids = [ids[-1], *save(3)]
    checkpoints_prune(keep=Retention(count=5, size_bytes=1), now=utc_now())
    assert left() == ids[-1:]


def test_the_oldest_go_first_where_the_size_is_bounded() -> None:
    ids = save(4)
    size = Checkpoint.objects.get(id=ids[0]).stored_size
    checkpoints_prune(keep=Retention(count=9, size_bytes=2 * size + 20), now=utc_now())
    assert left() == ids[-2:]


def test_a_dry_run_says_what_would_go_and_deletes_nothing() -> None:
    ids = save(5)
    would = checkpoints_prune(keep=Retention(count=2), now=utc_now(), dry_run=True)
    assert [one.ids for one in would] == [tuple(ids[:3])]
    assert left() == ids
    assert checkpoints_prune(keep=Retention(count=2), now=utc_now()) == would


def test_it_goes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    ids = save(8)
    (done,) = checkpoints_prune(keep=Retention(count=1), now=utc_now())
    assert (done.ids, left()) == (tuple(ids[:-1]), ids[-1:])


@pytest.mark.parametrize("count", [0, -1])
def test_keeping_none_is_impossible(count: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        Retention(count=count)
    with pytest.raises(BadRequest):
        setting_set(key="checkpoint_keep_count", value=count)


def test_the_job_follows_the_settings() -> None:
    ids = save(7)
    assert jobs.checkpoints_prune() == 2
    assert left() == ids[2:]
    setting_set(key="checkpoint_keep_count", value=1)
    assert jobs.checkpoints_prune() == 4
