"""`agenthub reload`: have the hub that runs on this data folder replace its processes, and say how that went."""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict

from agenthub.core.env import EnvError
from agenthub.core.environment import read_environment
from agenthub.up.hublock import holder
from agenthub.up.reloading import Status, read_status

LONGEST_SECONDS = 900.0
LOOK_SECONDS = 0.1
BAD_ENVIRONMENT = 2


def main() -> int:
    """Ask, wait, report; the exit code is 0 when every process was replaced, 1 when not, 2 for a bad environment."""
    parser = argparse.ArgumentParser(prog="agenthub reload", description=__doc__)
    parser.add_argument("--json", action="store_true", help="Answer in JSON.")
    arguments = parser.parse_args(sys.argv[2:])
    try:
        data_dir = read_environment(os.environ).data_dir
    except EnvError as problem:
        sys.stderr.write(f"agenthub: {problem}\n")
        return BAD_ENVIRONMENT
    pid = holder(data_dir)
    if pid is None:
        return _say(Status(state="failed", message=f"No hub runs on {data_dir}."), as_json=arguments.json)
    before = read_status(data_dir).number
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline and holder(data_dir) == pid:
        status = read_status(data_dir)
        if status.number > before and status.state in ("done", "failed"):
            return _say(status, as_json=arguments.json)
        time.sleep(LOOK_SECONDS)
    words = "The hub has ended." if holder(data_dir) != pid else f"Not done within {LONGEST_SECONDS:g} s."
    return _say(Status(before, "failed", words), as_json=arguments.json)


def _say(status: Status, *, as_json: bool) -> int:
    done = status.state == "done"
    text = "Reloaded." if done else "Not reloaded."
    words = json.dumps(asdict(status)) if as_json else f"{text} {status.message}".strip()
    (sys.stdout if done or as_json else sys.stderr).write(words + "\n")
    return 0 if done else 1
