"""`agenthub checkpoints`."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from storagecustodian.models import Checkpoint, Restore
from storagecustodian.selectors import latest_of_agent
from storagecustodian.services.saving import checkpoint_save
from tests.storagecustodian.factories import state
from tests.storagecustodian.test_saving import damage

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("checkpoints", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def asked(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_save_list_show_and_diff(tmp_path: Path) -> None:
    for n in (1, 2):
        file = tmp_path / f"{n}.json"
        file.write_text(json.dumps(state(n)))
        run("save", "7", str(file), "--label", f"l{n}")
    second, first = asked("list")
    assert (first["label"], second["iteration"]) == ("l1", 2)
    assert asked("show", first["id"])["state"] == state(1)
    assert asked("show", "--agent", "7")["id"] == second["id"]
    assert '"iteration": 2' in run("show", "--agent", "7")
    assert "~ iteration: 1 → 2" in run("diff", first["id"], second["id"])
    assert run("diff", first["id"], first["id"]).strip() == "They are equal."


def test_restore_and_rollback() -> None:
    one, two, _ = (checkpoint_save(agent_id="7", state=state(n)) for n in (1, 2, 3))
    assert asked("rollback", "7")["checkpoint"]["id"] == two.id
    done = asked("restore", one.id, "--reason", "why")
    assert done["epoch"] == 2
    assert Restore.objects.get(epoch=2).reason == "why"
    asked("restore", one.id, "--agent", "8")
    assert latest_of_agent("8").envelope.state == state(1)


def test_prune_with_and_without_a_dry_run() -> None:
    for n in range(7):
        checkpoint_save(agent_id="7", state=state(n), kind="auto")
    assert len(asked("prune", "--dry-run")["agents"][0]["ids"]) == 2
    assert Checkpoint.objects.count() == 7
    run("prune", "--keep-count", "1")
    assert Checkpoint.objects.count() == 1
    assert "nothing" in run("prune")
    for count in ("0", "-1"):
        with pytest.raises(CommandError, match="too few"):
            run("prune", f"--keep-count={count}")


def test_verify_fails_where_something_is_damaged() -> None:
    kept = checkpoint_save(agent_id="7", state=state())
    assert asked("verify")["damaged"] == []
    damage(kept)
    with pytest.raises(CommandError, match=kept.id):
        run("verify")
    with pytest.raises(CommandError, match="whole"):
        run("show", "--agent", "7")


def test_an_export_can_be_imported_again(tmp_path: Path) -> None:
    for n in (1, 2):
        checkpoint_save(agent_id="7", state=state(n, big="x" * 9_000), label=f"l{n}", pinned=n == 1)
    rows = list(Checkpoint.objects.order_by("sequence").values_list("label", "pinned", "sha256", "created_at"))
    file = tmp_path / "bundle.ndjson"
    run("export", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    Checkpoint.objects.all().delete()
    assert [one["outcome"] for one in asked("import", str(file))] == ["imported", "imported"]
    again = Checkpoint.objects.order_by("sequence").values_list("label", "pinned", "sha256", "created_at")
    assert list(again) == rows
    assert [one["outcome"] for one in asked("import", str(file))] == ["there already", "there already"]


@pytest.mark.parametrize("cut", [1, 200])
def test_half_an_export_is_refused_whole(tmp_path: Path, cut: int) -> None:
    for n in (1, 2):
        checkpoint_save(agent_id="7", state=state(n))
    file = tmp_path / "bundle.ndjson"
    run("export", str(file))
    Checkpoint.objects.all().delete()
    file.write_bytes(file.read_bytes()[: -cut - 1])
    with pytest.raises(CommandError):
        run("import", str(file))
    assert Checkpoint.objects.count() == 0


def test_a_folder_of_older_files_is_read_by_their_names(tmp_path: Path) -> None:
    older = {
        "7_20260102_030405.json": {"version": "1.0", "serialized_at": "2026-01-02T03:04:05+00:00", "state": state(2)},
        "7_20260101_030405.json": state(1),  # the state itself
        "7_good.json": {"state": state(3)},
        "a_b_before_lunch.json": {"version": "1.0", "state": state(4, agent_id="a_b")},
        "x_20260101_000000.json": {"version": "3.0", "state": {}},
        "y_good.json": "no JSON",
    }
    for name, document in older.items():
        (tmp_path / name).write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(CommandError, match="2 of 6"):
        run("import", str(tmp_path))
    rows = Checkpoint.objects.filter(agent_id="7").order_by("sequence").values_list("iteration", "kind", "label")
    assert list(rows) == [(1, "auto", ""), (2, "auto", ""), (3, "imported", "good")]
    assert latest_of_agent("a_b").checkpoint.label == "before_lunch"
    with pytest.raises(CommandError):
        run("import", str(tmp_path))
    assert Checkpoint.objects.count() == 4


def test_wrong_use_is_told() -> None:
    with pytest.raises(CommandError, match="Name a checkpoint"):
        run("show")
    with pytest.raises(CommandError, match="no checkpoint"):
        run("show", "ckp_000000000000")
    with pytest.raises(CommandError, match="can't be used"):
        run("save", "7", "/nowhere/at/all")
