"""A backup that is brought back: agents that know numbers from after it are told that those are of another time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.gateway.people import new_agent, people_of
from tests.gateway.wire import welcomed
from tests.hub import REPOSITORY, Hub


def command(hub: Hub, *words: str) -> dict[str, Any]:
    """An `agenthub` command on the hub's data."""
    done = subprocess.run(
        [sys.executable, "-m", "agenthub", *words, "--json"],
        env=hub.environ,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_agents_are_told_that_the_numbers_went_back(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        agent, people = new_agent(hub), people_of(hub)
        with welcomed(hub, people.admin) as person, welcomed(hub, agent) as wire:
            person.chat(agent.id, "before", "m-1")
            backup = command(hub, "backup")
            for n in (2, 3):
                person.chat(agent.id, "after", f"m-{n}")
            assert [wire.until("CHAT")["seq"] for _ in range(3)] == [1, 2, 3]
            epoch = wire.welcome["epoch"]
        hub.stop()
        command(hub, "restore", backup["name"])
        hub.start()
        with welcomed(hub, agent, resume={"epoch": epoch, "last_seq": 3}) as wire:
            assert wire.welcome["epoch"] != epoch
            assert (wire.welcome["resumed"], wire.welcome["head_seq"]) == (False, 1)
            assert wire.until("GAP")["reason"] == "restored"
            assert wire.until("CHAT")["payload"] == "before"
