"""The agents of the demo: the Storage-Custodian, and one that counts, keeps its count in checkpoints, and is killed now
and then to show that it goes on.

`python -m agenthub.demo.agent URL` takes its token from AGENTHUB_AGENT_TOKEN. Written with the client library alone.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from agenthub.client.checkpoints import Checkpoints
from agenthub.client.http import HubAway, HubRefused

BEGINNING = {"agent_name": "Counter", "status": "working", "iteration": 0, "starts": 0}
STEP_SECONDS = 1.0
KILL_SECONDS = 25.0
"""How long it lives until it is killed, so that it has kept some checkpoints each time."""


def work(url: str, token: str) -> None:
    """Count for ever, from where the last checkpoint left off."""
    with Checkpoints(url, token) as checkpoints:
        found = checkpoints.latest()
        state: dict[str, Any] = found["state"] if found else {**BEGINNING}
        state["starts"] += 1
        while True:
            state["iteration"] += 1
            try:
                checkpoints.auto(state)
            except HubRefused as refusal:
                if refusal.code != "stale_epoch":
                    raise
                # Somebody has restored an older checkpoint: go on from there.
                found = checkpoints.latest()
                state = found["state"] if found else state
            time.sleep(STEP_SECONDS)


async def keep_killing(url: str, token: str) -> None:
    """Run the agent as a process of its own, kill it, and run it again; ends with it when cancelled."""
    environ = {**os.environ, "AGENTHUB_AGENT_TOKEN": token}
    while True:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "agenthub.demo.agent", url, env=environ)
        try:
            await asyncio.wait_for(process.wait(), KILL_SECONDS)
            await asyncio.sleep(STEP_SECONDS)  # it has failed by itself: the hub may be restarting
        except TimeoutError:
            process.kill()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


async def keep_custodian(url: str, token: str, data_dir: str) -> None:
    """Run the Storage-Custodian as a process of its own, again when it has ended; ends with it when cancelled."""
    storage = Path(data_dir) / "hive_storage"
    storage.mkdir(parents=True, exist_ok=True)
    (storage / "welcome.txt").write_text("The Storage-Custodian looks after this folder. Ask it for get_status.\n")
    environ = {**os.environ, "AGENTHUB_URL": url, "AGENTHUB_AGENT_TOKEN": token, "AGENTHUB_DATA_DIR": data_dir}
    while True:
        # A session of its own, so that Ctrl-C reaches it once, from here.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agenthub", "custodian", env=environ, start_new_session=True
        )
        try:
            await process.wait()
            await asyncio.sleep(STEP_SECONDS)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def main() -> int:
    """Work until killed; 1 if the hub is not there."""
    try:
        work(sys.argv[1], os.environ["AGENTHUB_AGENT_TOKEN"])
    except (HubAway, HubRefused) as problem:
        sys.stderr.write(f"The demo's agent stops: {problem}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
