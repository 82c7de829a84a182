"""Saving and reading back, and the traps in between."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agenthub.core.errors import (
    CheckpointCorrupt,
    CheckpointForbidden,
    CheckpointNotFound,
    CheckpointTooLarge,
    StaleEpoch,
    StateNotStorable,
    UnsupportedVersion,
)
from agenthub.core.settings_store import setting_set
from storagecustodian.models import AgentLine, Checkpoint
from storagecustodian.rules.envelope import dumped, packed
from storagecustodian.selectors import checkpoint_load, checkpoints, latest_of_agent, latest_of_task
from storagecustodian.services import saving
from storagecustodian.services.restoring import checkpoint_restore
from storagecustodian.services.saving import checkpoint_auto, checkpoint_save
from tests.storagecustodian.factories import state

pytestmark = pytest.mark.django_db


def damage(checkpoint: Checkpoint) -> None:
    """Change one bit of what is stored."""
    row = Checkpoint.objects.get(id=checkpoint.id)
    body = bytearray(row.body)
    body[len(body) // 2] ^= 1
    Checkpoint.objects.filter(id=row.id).update(body=bytes(body))


def replace_document(checkpoint: Checkpoint, document: dict[str, Any]) -> None:
    """Store another document, with its right hash."""
    new = packed(dumped(document))
    Checkpoint.objects.filter(id=checkpoint.id).update(
        body=new.body, encoding=new.encoding, size=new.size, sha256=new.sha256
    )


def test_a_state_comes_back_as_it_was() -> None:
    kept = checkpoint_save(agent_id="7", state=state(3, nested={"π": [1, 2.5, None, True, "\0", "😀"]}), note="why")
    found = checkpoint_load(kept.id)
    assert found.envelope.state == state(3, nested={"π": [1, 2.5, None, True, "\0", "😀"]})
    row = found.checkpoint
    assert (row.agent_name, row.status, row.iteration, row.task_id) == ("Scribe", "working", 3, "t_1")
    assert (row.sequence, row.epoch, row.kind, row.note, row.label) == (1, 0, "manual", "why", "")
    assert found.envelope.version == "1.0"
    assert datetime.fromisoformat(found.envelope.serialized_at).tzinfo is not None


def test_two_saves_in_one_microsecond_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "utc_now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    first = checkpoint_save(agent_id="7", state=state(1))
    second = checkpoint_save(agent_id="7", state=state(2))
    assert (first.created_at, first.sequence, second.sequence) == (second.created_at, 1, 2)
    assert latest_of_agent("7").envelope.state["iteration"] == 2


def test_large_ones_are_compressed_and_small_ones_are_not() -> None:
    small = checkpoint_save(agent_id="7", state=state())
    large = checkpoint_save(agent_id="7", state=state(text="again and again " * 5_000))
    assert (small.encoding, small.stored_size) == ("", small.size)
    assert large.encoding == "zlib"
    assert large.stored_size < large.size / 10
    assert checkpoint_load(large.id).envelope.state["text"] == "again and again " * 5_000


ODD_IDS = [
    "a",
    "a_b",
    "a/b",
    "a/../b",
    "..",
    ".",
    "[x]",
    "*",
    "%",
    "A",
    "á",
    "名前",
    "a b",
    "a\nb",
    "'; --",
    "CON",
    "~",
]


def test_agents_whose_ids_begin_alike_or_hold_any_characters_never_see_each_other() -> None:
    kept = {agent_id: checkpoint_save(agent_id=agent_id, state=state(whose=agent_id)).id for agent_id in ODD_IDS}
    for agent_id in ODD_IDS:
        assert [row.id for row in checkpoints(agent_id=agent_id)] == [kept[agent_id]]
        assert latest_of_agent(agent_id).envelope.state["whose"] == agent_id
    with pytest.raises(CheckpointForbidden):
        checkpoint_load(kept["a_b"], agent_id="a")


@pytest.mark.parametrize("agent_id", ["a\0b", "", "\ud800", "x" * 201])
def test_ids_that_no_row_can_hold_are_refused(agent_id: str) -> None:
    with pytest.raises(StateNotStorable):
        checkpoint_save(agent_id=agent_id, state=state())
    assert AgentLine.objects.count() == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "state.bad is nan"),
        (float("-inf"), "state.bad is -inf"),
        (b"x", "state.bad holds bytes"),
        ({1, 2}, "state.bad holds set"),
        (datetime(2026, 1, 1, tzinfo=UTC), "state.bad holds datetime"),
        ({"a": [1, {"b": object()}]}, "state.bad.a[1].b holds object"),
        ({1: "x"}, "state.bad has the key 1"),
        ("\ud800", "state.bad holds half a character"),
        (10**3000, "state.bad is a number of more"),
    ],
)
def test_what_json_cant_hold_is_refused_by_its_place_and_nothing_is_written(value: object, said: str) -> None:
    with pytest.raises(StateNotStorable, match="state") as refused:
        checkpoint_save(agent_id="7", state=state(bad=value))
    assert said in refused.value.message
    assert Checkpoint.objects.count() == AgentLine.objects.count() == 0


def test_a_state_that_is_too_deep_or_goes_round_in_circles_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(StateNotStorable, match="nested"):
        checkpoint_save(agent_id="7", state=circle)


def test_the_limit_of_the_size_is_a_setting() -> None:
    setting_set(key="checkpoint_max_bytes", value=2_000)
    with pytest.raises(CheckpointTooLarge):
        checkpoint_save(agent_id="7", state=state(text="x" * 2_000))
    assert checkpoint_save(agent_id="7", state=state()).sequence == 1


def test_a_label_moves_and_the_older_checkpoint_stays() -> None:
    first = checkpoint_save(agent_id="7", state=state(1), label="good")
    other = checkpoint_save(agent_id="8", state=state(1), label="good")
    second = checkpoint_save(agent_id="7", state=state(2), label="good")
    labels = dict(Checkpoint.objects.values_list("id", "label"))
    assert labels == {first.id: "", second.id: "good", other.id: "good"}


def test_the_newest_with_a_wrong_hash_is_passed_over_and_reported() -> None:
    whole, *damaged = [checkpoint_save(agent_id="7", state=state(n)) for n in (1, 2, 3)]
    for each in damaged:
        damage(each)
    found = latest_of_agent("7")
    assert found.checkpoint.id == whole.id
    assert found.corrupt_skipped == (damaged[1].id, damaged[0].id)
    with pytest.raises(CheckpointCorrupt):
        checkpoint_load(damaged[0].id)


def test_errors_are_told_apart() -> None:
    with pytest.raises(CheckpointNotFound):
        latest_of_agent("7")
    with pytest.raises(CheckpointNotFound):
        checkpoint_load("ckp_000000000000")
    kept = checkpoint_save(agent_id="7", state=state())
    damage(kept)
    with pytest.raises(CheckpointCorrupt):
        latest_of_agent("7")
    replace_document(kept, {"version": "2.0", "serialized_at": "", "state": {"x": 1}})
    with pytest.raises(UnsupportedVersion):
        latest_of_agent("7")
    assert latest_of_agent("7", any_version=True).envelope.state == {"x": 1}


def test_the_same_major_version_and_older_documents_are_read() -> None:
    kept = checkpoint_save(agent_id="7", state=state())
    replace_document(kept, {"version": "1.7", "state": {"x": 1}, "new": True})
    assert checkpoint_load(kept.id).envelope.version == "1.7"
    replace_document(kept, {"iteration": 4, "version": "9.9"})
    assert checkpoint_load(kept.id).envelope.state == {"iteration": 4, "version": "9.9"}
    replace_document(kept, {"state": {"x": 2}})
    assert checkpoint_load(kept.id).envelope.version == "1.0"


def test_a_late_write_of_an_older_epoch_is_refused() -> None:
    first = checkpoint_save(agent_id="7", state=state(1), epoch=0)
    checkpoint_save(agent_id="7", state=state(2), epoch=0)
    epoch = checkpoint_restore(checkpoint_id=first.id, by="ann").epoch
    with pytest.raises(StaleEpoch):
        checkpoint_save(agent_id="7", state=state(3), epoch=0)
    assert latest_of_agent("7").envelope.state["iteration"] == 1
    assert checkpoint_save(agent_id="7", state=state(4), epoch=epoch).epoch == epoch
    assert latest_of_agent("7").envelope.state["iteration"] == 4
    # The refused write has used up no number.
    assert sorted(Checkpoint.objects.values_list("sequence", flat=True)) == [1, 2, 3, 4]


def autos(iterations: list[int]) -> list[int]:
    return [n for n in iterations if checkpoint_auto(agent_id="7", state=state(n)) is not None]


def test_automatic_ones_come_every_five_iterations_across_restarts_and_rollbacks() -> None:
    assert autos(list(range(1, 13))) == [5, 10]
    # A restart goes on where it was; iterations may be left out.
    assert autos([13, 14, 17, 18, 22]) == [17, 22]
    at_ten = Checkpoint.objects.get(iteration=10)
    checkpoint_restore(checkpoint_id=at_ten.id, by="ann")
    assert autos([11, 12, 13, 14, 15, 16]) == [15]
    # An agent that begins anew by itself counts from 0.
    assert autos([1, 2, 3, 4, 5, 6]) == [5]


def test_the_number_of_iterations_is_a_setting() -> None:
    setting_set(key="checkpoint_auto_iterations", value=2)
    assert autos([1, 2, 3, 4]) == [2, 4]


def test_values_at_redacted_paths_are_not_kept() -> None:
    setting_set(key="checkpoint_redact_paths", value="config.api_key, messages.*.headers")
    given = state(config={"api_key": "sk-1", "model": "m"}, messages=[{"headers": {"a": "b"}, "content": "c"}])
    kept = checkpoint_load(checkpoint_save(agent_id="7", state=given).id).envelope.state
    assert kept["config"] == {"api_key": "[redacted]", "model": "m"}
    assert kept["messages"] == [{"headers": "[redacted]", "content": "c"}]
    assert given["config"]["api_key"] == "sk-1"


def test_the_latest_of_a_task_is_found_with_and_without_its_agent() -> None:
    checkpoint_save(agent_id="7", state=state(1, task_id="t_1"))
    checkpoint_save(agent_id="7", state=state(2, task_id="t_2"))
    checkpoint_save(agent_id="8", state=state(3, task_id="t_1"))
    assert latest_of_agent("7", task_id="t_1").envelope.state["iteration"] == 1
    assert latest_of_task("t_1").envelope.state["iteration"] == 3
    with pytest.raises(CheckpointNotFound):
        latest_of_task("t_3")
