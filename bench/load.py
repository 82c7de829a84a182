"""Runs the load against one address: wrk for JSON, our own client for streams, both on the load's core."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.machine import cores, on_core
from bench.payload import PATH, json_body, stream_body, wrk_script
from bench.processes import ROOT, WORK, CantRun, clean_environment

WRK = "wrk"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes."""

    port: int
    key: str


def wrk(target: Target, *, body: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests, seconds and latencies of JSON requests, as fast as they are answered. Raises CantRun on any error."""
    script = WORK / "run" / "load.lua"
    script.write_text(wrk_script(body, target.key))
    url = f"http://127.0.0.1:{target.port}{PATH}"
    command = [WRK, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "30s", "-s", str(script), url]
    with on_core(cores()[1]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise CantRun(f"wrk found nothing: {done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(lines[0])
    if found["errors"]:
        raise CantRun(f"wrk met errors: {lines[0]}")
    return found


def warm(target: Target, *, body: str, connections: int) -> None:
    """Bring connections and caches into being: a second of load, more where nothing is answered so soon."""
    for _ in range(10):
        if wrk(target, body=body, connections=connections, seconds=1)["requests"]:
            return
    raise CantRun(f"Nothing on port {target.port} answers.")


def first_answer(target: Target, *, seconds: float = 120) -> float:
    """When a request was answered for the first time, on the monotonic clock. Raises CantRun."""
    deadline = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
        try:
            connection.request("POST", PATH, json_body(), headers)
            if connection.getresponse().status == 200:
                return time.monotonic()
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.01)
    raise CantRun(f"Nothing on port {target.port} answers after {seconds:g} s.")


def _client(target: Target, *, streams: int, chunks: int, interval_us: int, hold: bool) -> "subprocess.Popen[str]":
    counts = {"port": target.port, "streams": streams, "chunks": chunks, "interval_us": interval_us, "hold": hold}
    order = {"counts": counts, "key": target.key, "body": stream_body(chunks=chunks, interval_us=interval_us)}
    with on_core(cores()[1]):
        return subprocess.Popen(
            [sys.executable, "-m", "bench.streamclient", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
        )


def stream(target: Target, *, streams: int, chunks: int, interval_us: int) -> dict[str, Any]:
    """What the stream client has found. Raises CantRun where a stream was not whole."""
    client = _client(target, streams=streams, chunks=chunks, interval_us=interval_us, hold=False)
    try:
        output, _ = client.communicate(timeout=chunks * interval_us / 1e6 * 2 + 60)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        raise CantRun("The streams did not end.") from None
    if client.returncode:
        raise CantRun(f"The stream client ended with {client.returncode}.")
    found: dict[str, Any] = json.loads(output)
    if found["problems"] or found["whole"] != streams:
        raise CantRun(f"{found['whole']} of {streams} streams were whole: {found['problems']}")
    return found


@contextmanager
def open_streams(target: Target, *, streams: int) -> Iterator[None]:
    """Hold slow streams, one chunk a second, open inside the block."""
    client = _client(target, streams=streams, chunks=100_000, interval_us=1_000_000, hold=True)
    try:
        assert client.stdout is not None
        if client.stdout.readline().strip() != "open":
            raise CantRun("The slow streams could not be opened.")
        time.sleep(2)
        yield
    finally:
        client.communicate()
