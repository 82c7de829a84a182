"""The Storage-Custodian, as `agenthub custodian` starts it, answers people and the Butler."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.people import People, Someone, new_agent
from tests.gateway.wire import welcomed
from tests.hub import REPOSITORY, Hub, wait_until


@pytest.fixture
def custodian(hub: Hub, tmp_path: Path) -> Iterator[Someone]:
    """A running custodian of a folder with two files."""
    folder = tmp_path / "hive_storage"
    folder.mkdir()
    (folder / "notes.txt").write_text("remember 🌍")
    (folder / "long.txt").write_text("0123456789" * 6_000)
    agent = new_agent(hub)
    environ = {
        **os.environ,
        "AGENTHUB_URL": hub.base_url,
        "AGENTHUB_AGENT_TOKEN": agent.token,
        "AGENTHUB_STATE_DIR": str(tmp_path / "state"),
        "STORAGE_DIR": str(folder),
    }
    process = subprocess.Popen([sys.executable, "-m", "agenthub", "custodian"], env=environ, cwd=REPOSITORY)
    try:
        wait_until(lambda: hub.rows("hub_agentlog", agent_id=agent.id, level="SUCCESS"), "It has begun")
        yield agent
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_it_streams_to_people_and_writes_to_the_butler(hub: Hub, custodian: Someone, people: People) -> None:
    [start] = hub.rows("hub_agentlog", agent_id=custodian.id, level="SUCCESS")
    assert start["content"] == "Storage-Custodian initialized. Monitoring hive_storage. 2 files detected."
    asked = {
        "get_status": "Storage Status: 2 files, 60013 bytes",
        "list_files": "Files:\n- long.txt (60000 bytes)\n- notes.txt (13 bytes)",
        "get_file notes.txt": "remember 🌍",
        "get_file long.txt 59990": "0123456789",
    }
    with welcomed(hub, people.admin) as person:
        for number, (command, expected) in enumerate(asked.items()):
            question = person.chat(custodian.id, command, f"q-{custodian.id}-{number}")
            pieces, frame = [], person.until("CHAT_STREAM", sender_id=custodian.id)
            while frame["type"] == "CHAT_STREAM":
                pieces.append(frame["payload"])
                frame = next(each for each in iter(person.frame, None) if each["type"].startswith("CHAT"))
            assert (frame["type"], frame["payload"], frame["reply_to"]) == ("CHAT", expected, question["id"])
            assert "".join(pieces) == expected
            person.until("CHAT_STREAM_END", stream_id=frame["stream_id"])
        for name in ("../../etc/passwd", "/etc/passwd", "missing"):
            person.chat(custodian.id, f"get_file {name}", f"bad-{custodian.id}-{len(name)}")
            refusal = person.until("CHAT", sender_id=custodian.id)["payload"]
            assert refusal.startswith(("Names are those", "There is no file"))
        person.chat(custodian.id, "get_file long.txt", f"long-{custodian.id}")
        answer = person.until("CHAT", sender_id=custodian.id)["payload"]
        assert answer.endswith("\n[49152 of 60000 bytes; the rest: get_file long.txt 49152]")
    with welcomed(hub, people.butler) as butler:
        butler.chat(custodian.id, "what are you?", f"b-{custodian.id}")
        frame = butler.frame()
        while frame["type"] != "CHAT":
            assert not frame["type"].startswith("CHAT_STREAM")
            frame = butler.frame()
        assert frame["payload"].startswith("I look after a folder.")


def test_its_figures_are_kept_as_a_checkpoint(hub: Hub, custodian: Someone) -> None:
    [saved] = wait_until(lambda: hub.rows("storagecustodian_checkpoint", agent_id=str(custodian.id)), "Its checkpoint")
    assert (saved["task_id"], saved["kind"]) == ("watch", "task")
