"""A conversation of two agents that survives what is killed: they are run, killed, and held to what was promised."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.gateway.people import Someone, agents, new_agent
from tests.hub import REPOSITORY, Hub, wait_until


class Conversation:
    """A sender and a receiver, each a process of its own."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self._hub = hub
        self._folder = folder
        self._receiver = new_agent(hub)
        self._sender = new_agent(hub)
        agents(hub, "PATCH", f"/{self._sender.id}", {"peers": [self._receiver.name]})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Let both loose; one that runs already goes on."""
        self._run("receive", self._receiver)
        self._run("send", self._sender, str(self._receiver.id))

    def _run(self, part: str, who: Someone, *more: str) -> None:
        running = self._processes.get(part)
        if running is not None and running.poll() is None:
            return
        environ = {**os.environ, "AGENTHUB_URL": self._hub.base_url, "AGENTHUB_AGENT_TOKEN": who.token}
        with (self._folder / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.talkers", part, str(self._folder / part), *more],
                env=environ,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def kill_one(self, chance: random.Random) -> None:
        """Kill one of the two, and start it again."""
        process = self._processes[chance.choice(["send", "receive"])]
        process.kill()
        process.wait()
        self.start()

    def stop(self) -> None:
        """Ask both to leave."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def acked(self) -> list[int]:
        """The numbers of which the sender knows that the hub has them."""
        file = self._folder / "send" / "acked"
        return [int(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []

    def seen(self) -> list[int]:
        """The numbers that have had their effect on the receiver's state."""
        file = self._folder / "receive" / "agent.sqlite3"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as connection:
            found = connection.execute("SELECT value FROM state").fetchone()
        return list(json.loads(found[0]).get("seen", [])) if found else []

    def assert_kept(self) -> None:
        """Every acknowledged number has had its effect once, in order."""
        self.start()
        acked = set(self.acked())
        wait_until(lambda: acked <= set(self.seen()), f"All of {len(acked)} acknowledged messages arrive", seconds=60)
        seen = self.seen()
        assert seen == sorted(set(seen)), "Some had their effect twice, or out of order."
        assert seen == list(range(1, len(seen) + 1))
