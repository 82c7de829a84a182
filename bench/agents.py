"""The hub of agents: memory of idle connections, messages per core, their way through the hub, slow readers, storms."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import uvloop

from bench.gateways.agenthub import AgentHub
from bench.gateways.base import Upstreams
from bench.machine import cores, cpu_seconds, free_port, on_core, rss_bytes
from bench.processes import ROOT, CantRun, clean_environment, run_folder
from bench.results import about_this_run
from bench.savers import PAGE
from bench.socketclient import SocketClient, open_all

BEGIN = "<!-- begin of the figures of agents: written by `python -m bench agents` -->"
END = "<!-- end of the figures of agents -->"
IDLE = 5_000
PAIRS = 500
BURST = 60
"""Messages that each sender sends at once; its bucket holds a hundred."""

RATE, RATE_SECONDS = 1_000, 20
BIG = "x" * 1_000


class HubOfAgents(AgentHub):
    """A hub with agents instead of backends."""

    name = "agenthub"

    def prepare(self) -> None:
        """Make a database with agents."""
        self.folder = run_folder("agents")
        (self.folder / "metrics").mkdir()
        self.environ = clean_environment(
            {
                "AGENTHUB_DATA_DIR": str(self.folder / "data"),
                "AGENTHUB_METRICS_PORT": "0",
                "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
            }
        )
        done = subprocess.run(
            [sys.executable, "-m", "bench.seedagents", str(IDLE), str(PAIRS)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environ,
        )
        if done.returncode:
            raise CantRun(f"The bench's database could not be made:\n{done.stderr}")
        self.tokens = {int(number): token for number, token in json.loads(done.stdout.splitlines()[-1]).items()}

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port


@contextmanager
def hub() -> Iterator[HubOfAgents]:
    """A running hub."""
    made = HubOfAgents(Upstreams(json_port=free_port(), stream_port=free_port()))
    made.prepare()
    made.start()
    try:
        yield made
    finally:
        made.stop()


def measure() -> dict[str, float]:
    """All figures of one run."""
    with hub() as running, on_core(cores()[1]):
        os.sched_setaffinity(0, {cores()[1]})
        return uvloop.run(_all(running))


async def _all(running: HubOfAgents) -> dict[str, float]:
    found: dict[str, float] = {}
    found |= await _idle_and_storm(running)
    found |= await _burst(running)
    found |= await _steady(running)
    found |= await _slow_reader(running)
    return found


def _deaf(_client: SocketClient, _text: bytes) -> None:
    return None


async def _idle_and_storm(running: HubOfAgents) -> dict[str, float]:
    """What an open connection costs, and how long all of them take to come back at once."""
    warm = await open_all(running.port, dict(list(running.tokens.items())[:50]), _deaf)
    await asyncio.sleep(1)
    before = rss_bytes(running.pid)
    rest = await open_all(running.port, dict(list(running.tokens.items())[50:]), _deaf)
    await asyncio.sleep(3)
    each = (rss_bytes(running.pid) - before) / len(rest)
    cpu, at = cpu_seconds(running.pid), time.monotonic()
    await asyncio.sleep(10)
    resting = (cpu_seconds(running.pid) - cpu) / (time.monotonic() - at)
    for client in [*warm.values(), *rest.values()]:
        assert client.transport is not None
        client.transport.abort()
    began = time.monotonic()
    again = await open_all(running.port, running.tokens, _deaf, at_once=len(running.tokens))
    storm = time.monotonic() - began
    await _leave(again)
    return {"kb_per_idle": each / 1000, "resting_cores": resting, "storm_seconds": storm, "connections": len(again)}


class _Talk:
    """Counts what arrives and is acknowledged, and how long it took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived = self.acked = 0
        self.late: list[float] = []
        self.goal = 0
        self.done = asyncio.Event()

    def hear(self, client: SocketClient, text: bytes) -> None:
        """One frame."""
        frame = orjson.loads(text)
        if frame["type"] == "CHAT":
            sent_at, name, *_ = frame["payload"].split(" ")
            client.last_seq = frame["seq"]
            if name != self.name:
                return  # of a part before, whose acknowledgement was cut off
            self.arrived += 1
            self.late.append(time.time() - float(sent_at))
            if frame["seq"] % 32 == 0:
                client.send({"type": "ACK", "seq": frame["seq"]})
        elif frame["type"] == "ACK":
            self.acked += 1
        elif frame["type"] == "ERROR":
            raise CantRun(str(frame))
        if self.arrived >= self.goal and self.acked >= self.goal:
            self.done.set()


async def _burst(running: HubOfAgents) -> dict[str, float]:
    """As many messages as the hub takes: CPU of each, stored first and acknowledged after the commit."""
    talk = _Talk("burst")
    numbers = list(running.tokens)[: 2 * PAIRS]
    clients = await open_all(running.port, {each: running.tokens[each] for each in numbers}, talk.hear)
    talk.goal = PAIRS * BURST
    cpu, began = cpu_seconds(running.pid), time.monotonic()
    for n in range(BURST):
        for pair in range(PAIRS):
            _say(clients[numbers[pair]], numbers[PAIRS + pair], "burst", n)
        await asyncio.sleep(0)
    async with asyncio.timeout(120):
        await talk.done.wait()
    seconds, used = time.monotonic() - began, cpu_seconds(running.pid) - cpu
    await _leave(clients)
    return {
        "cpu_us_per_message": used / talk.goal * 1e6,
        "messages_per_second": talk.goal / seconds,
        "messages_per_cpu_second": talk.goal / used,
    }


async def _steady(running: HubOfAgents) -> dict[str, float]:
    """The way of a message at a steady pace, from before it is sent until it has arrived."""
    talk = _Talk("steady")
    talk.goal = RATE * RATE_SECONDS
    numbers = list(running.tokens)[: 2 * PAIRS]
    clients = await open_all(running.port, {each: running.tokens[each] for each in numbers}, talk.hear)
    cpu, began = cpu_seconds(running.pid), time.monotonic()
    for n in range(talk.goal):
        wait = began + n / RATE - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        _say(clients[numbers[n % PAIRS]], numbers[PAIRS + n % PAIRS], "steady", n)
    async with asyncio.timeout(30):
        await talk.done.wait()
    used = cpu_seconds(running.pid) - cpu
    await _leave(clients)
    late = statistics.quantiles(talk.late, n=1000)
    return {
        "relay_p50_ms": statistics.median(talk.late) * 1000,
        "relay_p99_ms": late[989] * 1000,
        "steady_cpu_us": used / talk.goal * 1e6,
    }


async def _slow_reader(running: HubOfAgents) -> dict[str, float]:
    """What a reader costs that has stopped reading while 3 MB wait for it, and what its neighbours notice."""
    slow, calm = _Talk("slow"), _Talk("calm")
    numbers = list(running.tokens)[: 2 * PAIRS]
    stopped = {each: running.tokens[each] for each in numbers[PAIRS : PAIRS + 30]}
    readers = await open_all(running.port, stopped, slow.hear)
    for client in readers.values():
        assert client.transport is not None
        client.transport.pause_reading()
    before = rss_bytes(running.pid)
    senders = await open_all(running.port, {each: running.tokens[each] for each in numbers[:30]}, slow.hear)
    pairs = {each: running.tokens[each] for each in (*numbers[100:200], *numbers[PAIRS + 100 : PAIRS + 200])}
    others = await open_all(running.port, pairs, calm.hear)
    calm.goal = 100 * 100
    for n in range(100):
        for pair in range(30):
            _say(senders[numbers[pair]], numbers[PAIRS + pair], "slow", n, BIG * 30)
        for pair in range(100, 200):
            _say(others[numbers[pair]], numbers[PAIRS + pair], "calm", n)
            await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        await calm.done.wait()
    grown = (rss_bytes(running.pid) - before) / len(readers)
    await _leave(readers | senders | others)
    return {"kb_per_slow_reader": grown / 1000, "neighbours_p99_ms": statistics.quantiles(calm.late, n=100)[98] * 1000}


def _say(client: SocketClient, target: int, name: str, n: int, more: str = "") -> None:
    payload = f"{time.time()} {name} {more}"
    client.send({"type": "CHAT", "target_id": target, "payload": payload, "local_id": f"{name}.{n}.{client.name}"})


async def _leave(clients: dict[int, SocketClient]) -> None:
    for client in clients.values():
        if client.last_seq and not client.closed:
            client.send({"type": "ACK", "seq": client.last_seq})
    await asyncio.sleep(2)
    for client in clients.values():
        assert client.transport is not None
        client.transport.abort()
    await asyncio.sleep(3)


GOALS = (
    ("kb_per_idle", "KB per idle connection, of 5,000", 30, 17, 1),
    ("messages_per_cpu_second", "messages per CPU second, stored first", -8_000, -20_000, 0),
    ("relay_p50_ms", "ms from sender to receiver at 1,000 messages/s, p50", 3, 1, 2),
    ("relay_p99_ms", "the same, p99", 15, 5, 2),
    ("kb_per_slow_reader", "KB per reader that has stopped reading", 2_000, None, 0),
    ("storm_seconds", "seconds until 5,000 are back after all were cut off", 15, 5, 1),
)
"""Figure, what it is, gate, moonshot (negative: at least), digits."""


def table(rounds: list[dict[str, float]]) -> str:
    """The figures as Markdown: the median of the rounds beside the goals."""
    median = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    lines = [f"* {name}: {value}" for name, value in about_this_run([], rounds=len(rounds)).items()]
    lines += ["", "| | gate | moonshot | median of this run | gate met |", "| --- | --- | --- | --- | --- |"]
    for name, what, gate, moonshot, digits in GOALS:
        met = median[name] <= gate if gate > 0 else median[name] >= -gate
        goals = f"{_goal(gate)} | {_goal(moonshot)}"
        lines.append(f"| {what} | {goals} | {median[name]:,.{digits}f} | {'yes' if met else 'no'} |")
    pressed, steady, many = (median[name] for name in ("cpu_us_per_message", "steady_cpu_us", "messages_per_second"))
    return "\n".join(
        [
            *lines,
            "",
            f"A message costs {pressed:.0f} µs of CPU under pressure ({many:,.0f} messages/s),",
            f"{steady:.0f} µs at 1,000 a second, where fewer share a commit. 5,000 idle connections take",
            f"{median['resting_cores'] * 100:.1f} % of a core. Neighbours of 30 readers that have stopped see a p99 of",
            f"{median['neighbours_p99_ms']:.1f} ms.",
        ]
    )


def _goal(value: int | None) -> str:
    if value is None:
        return ""
    return f"≤ {value:,}" if value > 0 else f"≥ {-value:,}"


def write(text: str) -> None:
    """Put the table between its markers."""
    whole = PAGE.read_text()
    head, _, rest = whole.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
