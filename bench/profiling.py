"""Where AgentHub's web process spends its CPU under load: `python -m bench profile json|stream`."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench import load
from bench.gateways.agenthub import AgentHub
from bench.machine import cores, cpu_seconds, user_and_system_seconds
from bench.payload import json_body
from bench.processes import ROOT, WORK, CantRun

SAMPLES_PER_SECOND = 400


def sampler() -> str:
    """py-spy, installed into an environment of its own on first use. Raises CantRun."""
    found = shutil.which("py-spy") or shutil.which("py-spy", path=str(WORK / "tools" / "bin"))
    if found is not None:
        return found
    tools = WORK / "tools"
    subprocess.run([sys.executable, "-m", "venv", str(tools)], check=True)
    try:
        subprocess.run([str(tools / "bin" / "python"), "-m", "pip", "install", "-q", "py-spy"], check=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        raise CantRun(f"py-spy can't be installed: {problem}") from None
    return str(tools / "bin" / "py-spy")


def profile(hub: AgentHub, kind: str, *, seconds: float, native: bool, top: int) -> None:
    """Run the load, sample the web process meanwhile, and print where its CPU goes."""
    program = sampler()
    raw = WORK / "run" / "profile.raw"
    raw.unlink(missing_ok=True)
    _load(hub, kind, 1)
    command = [program, "record", "--threads", "--format", "raw", "-o", str(raw)]
    command += ["-r", str(SAMPLES_PER_SECOND), "-d", "3600", "--pid", str(hub.pid), *(["--native"] if native else [])]
    log = (WORK / "run" / "py-spy.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as spy:
        time.sleep(0.5)
        before, cpu = user_and_system_seconds(hub.pid), cpu_seconds(hub.pid)
        done = _load(hub, kind, seconds)
        cpu = cpu_seconds(hub.pid) - cpu
        after = user_and_system_seconds(hub.pid)
        spy.send_signal(signal.SIGINT)
    unit = "request" if kind == "json" else "chunk"
    user, system = (now - then for now, then in zip(after, before, strict=True))
    print(f"{done} {unit}s; CPU {cpu / done * 1e6:.1f} µs per {unit}: user {user:.2f} s, system {system:.2f} s")
    print("(py-spy stops the process to look at it: take figures from `python -m bench json|stream`, not from here)")
    print_shares(raw, top=top)


def _load(hub: AgentHub, kind: str, seconds: float) -> int:
    if kind == "json":
        return int(load.wrk(hub.json_target, body=json_body(), connections=64, seconds=seconds)["requests"])
    chunks = max(10, round(seconds * 50))
    return int(load.stream(hub.stream_target, streams=100, chunks=chunks, interval_us=20_000)["chunks"])


def print_shares(raw: Path, *, top: int) -> None:
    """Functions by their own time, and by the time of all that they call; of the main thread, which serves."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    total = 0
    for line in raw.read_text().splitlines():
        stack, _, text = line.rpartition(" ")
        # Other threads mostly wait in system calls, which the sampler takes for work.
        if "MainThread" not in stack:
            continue
        count = int(text)
        frames = [frame for frame in stack.split(";") if not frame.startswith(("thread (", "process "))]
        functions = [_function(frame) for frame in frames]
        total += count
        own[functions[-1]] += count
        lines[_short(frames[-1])] += count
        for function in set(functions):
            inclusive[function] += count
    print("`Runner.run` is the event loop itself: C code of uvloop and the parsers, and waiting.")
    for title, counter in (("own time", own), ("with all that is called", inclusive), ("lines", lines)):
        print(f"\n{title}")
        for name, count in counter.most_common(top):
            print(f"{100 * count / total:5.1f} %  {name}")


def _short(frame: str) -> str:
    frame = frame.replace(str(ROOT) + "/", "")
    return frame.split("/site-packages/")[-1]


def _function(frame: str) -> str:
    name, _, place = _short(frame).rpartition(" (")
    return f"{name} ({place.rpartition(':')[0] or place.rstrip(')')})" if name else frame


def pinned() -> str:
    """A line that says where things run."""
    gateway, others = cores()
    return f"gateway on core {gateway}, upstreams and load on core {others}"
