"""The measures. Each takes one running gateway and gives one sample: plain numbers with their unit in the name."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from bench import load
from bench.gateways.base import Gateway
from bench.machine import NoiseMeter, cores, cpu_seconds, pin, rss_bytes
from bench.payload import json_body

MICRO = 1e6
LARGE_PROMPT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one measure of one gateway."""

    gateway: str
    measure: str
    values: dict[str, float]
    noise: dict[str, float | bool] = field(default_factory=dict)


class Meter:
    """CPU of the gateway, of what works beside it, and of the neighbours, while the block runs."""

    def __init__(self, gateway: Gateway, others: list[int]) -> None:
        self._gateway = gateway
        self._pids = [*others, *(pid for pid in (gateway.pid, gateway.beside_pid) if pid is not None)]

    def __enter__(self) -> "Meter":
        self._noise = NoiseMeter(self._pids)
        self._cpu = _cpu(self._gateway.pid)
        self._beside = _cpu(self._gateway.beside_pid)
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_seconds = _cpu(self._gateway.pid) - self._cpu
        self.seconds = time.monotonic() - self._started
        self.noise = self._noise.read().as_json()

    def beside_seconds(self, *, settle: bool) -> float:
        """CPU of what works beside; with `settle`, after it has had time to catch up."""
        if settle and self._gateway.beside_pid is not None:
            time.sleep(1.5)
        return _cpu(self._gateway.beside_pid) - self._beside


def _cpu(pid: int | None) -> float:
    return cpu_seconds(pid) if pid is not None else 0.0


def json_requests(gateway: Gateway, others: list[int], *, connections: int, seconds: float) -> Sample:
    """CPU per request, requests a second and latencies at one concurrency."""
    body = json_body()
    load.warm(gateway.json_target, body=body, connections=connections)
    with Meter(gateway, others) as meter:
        found = load.wrk(gateway.json_target, body=body, connections=connections, seconds=seconds)
    requests = max(found["requests"], 1)
    values = {
        "requests_per_second": requests / found["seconds"],
        "p50_us": found["p50_us"],
        "p99_us": found["p99_us"],
    }
    if gateway.pid is not None:
        values["cpu_us_per_request"] = meter.cpu_seconds / requests * MICRO
        values["requests_per_cpu_second"] = requests / meter.cpu_seconds
    if gateway.beside_pid is not None:
        values["beside_us_per_request"] = meter.beside_seconds(settle=True) / requests * MICRO
    return Sample(gateway.name, f"json c{connections}", values, meter.noise)


def json_on_one_core(gateway: Gateway, others: list[int], *, seconds: float) -> Sample:
    """Latencies with the gateway on the load's core: the path through the code without wake-ups across cores."""
    if gateway.pid is not None:
        pin(gateway.pid, cores()[1])
    try:
        sample = json_requests(gateway, others, connections=1, seconds=seconds)
    finally:
        if gateway.pid is not None:
            pin(gateway.pid, cores()[0])
    return replace(sample, measure="json c1 one core")


def streams(gateway: Gateway, others: list[int], *, count: int, chunks: int, interval_ms: float = 20) -> Sample:
    """CPU per chunk, time to first token and lateness of chunks with `count` streams at once."""
    with Meter(gateway, others) as meter:
        found = load.stream(gateway.stream_target, streams=count, chunks=chunks, interval_us=round(interval_ms * 1000))
    values: dict[str, Any] = {name: found[name] for name in found if name not in ("problems", "whole")}
    if gateway.pid is not None:
        values["cpu_us_per_chunk"] = meter.cpu_seconds / (count * chunks) * MICRO
    if gateway.beside_pid is not None:
        values["beside_us_per_chunk"] = meter.beside_seconds(settle=True) / (count * chunks) * MICRO
    return Sample(gateway.name, f"stream {count}×{chunks}", values, meter.noise)


def growth(gateway: Gateway, others: list[int], *, seconds: float) -> Sample:
    """The cost of a request of a hub that has much to remember."""
    sample = json_requests(gateway, others, connections=64, seconds=seconds)
    return replace(sample, measure="growth")


def large_prompts(gateway: Gateway, others: list[int], *, seconds: float) -> Sample | None:
    """CPU per request with a prompt of 256 KiB, and how much more that is than with one of 1 kB."""
    if gateway.pid is None:
        return None
    cost = []
    noise: dict[str, float | bool] = {}
    for body in (json_body(), json_body(least_bytes=LARGE_PROMPT_BYTES)):
        load.warm(gateway.json_target, body=body, connections=8)
        with Meter(gateway, others) as meter:
            found = load.wrk(gateway.json_target, body=body, connections=8, seconds=seconds)
        cost.append(meter.cpu_seconds / found["requests"] * MICRO)
        noise = meter.noise
    values = {"small_us": cost[0], "large_us": cost[1], "growth": cost[1] / cost[0], "added_us": cost[1] - cost[0]}
    return Sample(gateway.name, "256 KiB prompts", values, noise)


def memory(gateway: Gateway, *, streams: int) -> Sample | None:
    """Resident memory of a new gateway at rest, and with slow streams open."""
    if gateway.pid is None:
        return None
    # A first few streams, so that what is made once is not counted as the streams'.
    load.stream(gateway.stream_target, streams=5, chunks=5, interval_us=10_000)
    time.sleep(1)
    idle = rss_bytes(gateway.pid)
    with load.open_streams(gateway.stream_target, streams=streams):
        loaded = rss_bytes(gateway.pid)
    values = {
        "idle_mb": idle / 1e6,
        "open_mb": loaded / 1e6,
        "streams": streams,
        "kb_per_stream": (loaded - idle) / streams / 1e3,
    }
    return Sample(gateway.name, "memory", values)


def cold_start(gateway: Gateway) -> Sample:
    """Seconds from the start of a prepared gateway to its first answer, and its memory after a moment of rest."""
    started = time.monotonic()
    try:
        gateway.start()
        seconds = load.first_answer(gateway.json_target) - started
        time.sleep(3)
        assert gateway.pid is not None
        values = {"seconds": seconds, "idle_mb": rss_bytes(gateway.pid) / 1e6}
    finally:
        gateway.stop()
    return Sample(gateway.name, "cold start", values)
