"""Checkpoints as files: beside the database, and alone."""

import errno
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agenthub.core.errors import CheckpointCorrupt, CheckpointNotFound, CheckpointsFull, StaleEpoch, UnsupportedVersion
from agenthub.core.settings_store import setting_set
from storagecustodian.filemode import FileCheckpoints
from storagecustodian.models import AgentLine, Checkpoint
from storagecustodian.rules.paths import folder_name
from storagecustodian.services import verifying
from storagecustodian.services.changing import checkpoint_delete
from storagecustodian.services.saving import checkpoint_files, checkpoint_save
from storagecustodian.services.verifying import checkpoints_verify
from storagecustodian.store import CheckpointFiles, FileName
from tests.management import with_environment
from tests.storagecustodian.factories import state
from tests.storagecustodian.test_saving import ODD_IDS, damage


@pytest.fixture
def mirror(tmp_path: Path, db: None) -> Iterator[Path]:
    """Files are on, in a folder of the test's own."""
    setting_set(key="checkpoint_files", value=True)
    with with_environment(data_dir=tmp_path):
        yield tmp_path / "checkpoints"


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_each_checkpoint_has_its_file_for_the_hub_alone(mirror: Path) -> None:
    kept = checkpoint_save(agent_id="7", state=state(3), label="good")
    (file,) = files_in(mirror)
    assert file == mirror / "a-7" / f"000000000001-{kept.id}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    document = json.loads(file.read_bytes())
    assert document["state"] == state(3)
    assert (document["version"], document["checkpoint"]["label"]) == ("1.0", "good")
    checkpoint_delete(checkpoint_id=kept.id)


def test_no_id_leads_out_of_the_folder_or_into_anothers(mirror: Path) -> None:
    for agent_id in [*ODD_IDS, "x" * 200, "名" * 200]:
        checkpoint_save(agent_id=agent_id, state=state(whose=agent_id))
    folders = list(mirror.iterdir())
    assert len(folders) == len({folder.name.lower() for folder in folders}) == len(ODD_IDS) + 2
    assert all(len(files_in(folder)) == 1 for folder in folders)
    assert [path for path in mirror.parent.iterdir() if path != mirror] == []


@pytest.mark.parametrize("agent_id", ODD_IDS)
def test_the_names_of_folders_are_plain(agent_id: str) -> None:
    name = folder_name(agent_id)
    assert name.startswith("a-")
    assert not set(name) & set('/\\.:*?"<>|\n ')


def test_links_are_not_followed(mirror: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    mirror.mkdir()
    (mirror / "a-7").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        checkpoint_save(agent_id="7", state=state())
    assert list(outside.iterdir()) == []
    assert Checkpoint.objects.count() == 0


def test_a_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    files, secret = CheckpointFiles(tmp_path), tmp_path / "secret"
    secret.write_text("{}")
    files.make(files.folder("7"))
    name = FileName(1, "ckp_000000000000")
    (files.folder("7") / str(name)).symlink_to(secret)
    with pytest.raises(CheckpointCorrupt):
        files.read("7", name)


def test_what_is_refused_leaves_no_file(mirror: Path) -> None:
    checkpoint_save(agent_id="7", state=state(1))
    before = files_in(mirror)
    with pytest.raises(StaleEpoch):
        checkpoint_save(agent_id="7", state=state(2), epoch=5)
    assert files_in(mirror) == before


def test_a_full_disk_refuses_and_leaves_what_was(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = checkpoint_save(agent_id="7", state=state(1))
    before, write = files_in(mirror), os.write

    def full(handle: int, content: Any) -> int:
        if len(content) > 100:
            return write(handle, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CheckpointsFull):
        checkpoint_save(agent_id="7", state=state(2))
    monkeypatch.undo()
    assert files_in(mirror) == before
    assert list(Checkpoint.objects.values_list("id", flat=True)) == [kept.id]
    assert checkpoint_save(agent_id="7", state=state(3)).sequence == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def saves_until_full(checkpoints: FileCheckpoints) -> int:
    for kept in range(100):
        try:
            checkpoints.save("7", state(kept, text="x" * 20_000))
        except CheckpointsFull:
            return kept
    raise AssertionError("The disk is never full.")


def test_a_disk_that_is_full_indeed(small_disk: Path) -> None:
    checkpoints = FileCheckpoints(small_disk)
    kept = saves_until_full(checkpoints)
    assert kept > 3
    assert checkpoints.latest("7").content.envelope.state["iteration"] == kept - 1
    assert len(checkpoints.list("7")) == len([p for p in files_in(small_disk) if p.suffix == ".json"]) == kept


def test_the_latest_goes_by_sequence_and_not_by_the_times_of_files(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path / "one")
    for n in (1, 2, 3):
        checkpoints.save("7", state(n))
    copied = tmp_path / "two"
    shutil.copytree(tmp_path / "one", copied, copy_function=shutil.copyfile)
    for age, file in enumerate(files_in(copied)):
        os.utime(file, (1_000 - age, 1_000 - age))
    assert FileCheckpoints(copied).latest("7").content.envelope.state == state(3)


def test_damaged_files_are_passed_over_and_told_apart(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path)
    names = [checkpoints.save("7", state(n)) for n in (1, 2, 3, 4)]
    paths = [checkpoints.files.folder("7") / str(name) for name in names]
    paths[3].write_bytes(paths[3].read_bytes()[:-30])
    paths[2].write_bytes(paths[2].read_bytes().replace(b"step 3", b"step X"))
    shutil.copyfile(paths[0], paths[1])  # a whole file under another one's name
    found = checkpoints.latest("7")
    assert found.name == names[0]
    assert found.corrupt_skipped == tuple(name.id for name in names[:0:-1])
    with pytest.raises(CheckpointNotFound):
        checkpoints.latest("8")
    with pytest.raises(CheckpointNotFound):
        checkpoints.load("7", FileName(9, "ckp_000000000000"))


def test_a_file_of_another_major_version_is_told_apart(tmp_path: Path) -> None:
    from storagecustodian.rules.envelope import dumped

    files, name = CheckpointFiles(tmp_path), FileName(1, "ckp_000000000000")
    document = dumped({"version": "2.0", "serialized_at": "", "state": {"x": 1}})
    pending = files.prepare("7", document, {"id": name.id})
    pending.publish(name)
    with pytest.raises(UnsupportedVersion):
        files.read("7", name)
    assert files.read("7", name, any_version=True).envelope.state == {"x": 1}


def test_files_alone_know_epochs_too(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path)
    names = [checkpoints.save("7", state(n), epoch=0) for n in (1, 2)]
    epoch = checkpoints.restore("7", names[0])
    with pytest.raises(StaleEpoch):
        checkpoints.save("7", state(3), epoch=0)
    assert checkpoints.latest("7").name == names[0]
    newest = checkpoints.save("7", state(4), epoch=epoch)
    (checkpoints.files.folder("7") / str(newest)).write_bytes(b"")
    assert checkpoints.latest("7").name == names[0]
    assert checkpoints.delete("7", names[1])
    assert not checkpoints.delete("7", names[1])


def test_the_check_brings_files_in_line_with_the_database(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (checkpoint_save(agent_id="7", state=state(n)) for n in (1, 2, 3))
    paths = files_in(mirror)
    paths[0].unlink()
    paths[1].write_bytes(b"{}")
    orphan = paths[2].with_name("000000000009-ckp_ffffffffffff.json")
    orphan.write_bytes(b"{}")
    left = paths[2].with_name(".new-0123456789abcdef")
    left.write_bytes(b"x")
    monkeypatch.setattr(verifying, "ORPHAN_SECONDS", -1)
    found = checkpoints_verify()
    assert (found.checked, found.damaged, found.files_written, found.files_removed) == (3, (), 2, 2)
    assert files_in(mirror) == paths
    name = FileName(second.sequence, second.id)
    assert checkpoint_files().read("7", name).envelope.state == state(2)
    damage(third)
    assert checkpoints_verify().damaged == (third.id,)
    assert first.sequence == 1
    assert AgentLine.objects.get().sequence == 3
