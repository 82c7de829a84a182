"""Many streams at once: checks that each is whole and in order, and how late each chunk is.

`python -m bench.streamclient ORDER`, with an order in JSON; the findings are one line of JSON. With `hold`, it says
`open` when every stream has begun and ends when its input does.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field

import uvloop

_STAMP = re.compile(rb"@(\d+):(\d+) ")
_LONGEST_STAMP = 64


@dataclass
class Findings:
    """What all streams of a run have seen."""

    ttft_us: list[float] = field(default_factory=list)
    delays_us: list[float] = field(default_factory=list)
    whole: int = 0
    reads: int = 0
    joined_reads: int = 0  # reads that brought more than one chunk
    problems: dict[str, int] = field(default_factory=dict)

    def problem(self, what: str) -> None:
        """Count something that must not be."""
        self.problems[what] = self.problems.get(what, 0) + 1


class Stream(asyncio.Protocol):
    """One connection with one stream."""

    def __init__(self, order: dict[str, int], findings: Findings) -> None:
        self._expected = order["chunks"]
        self._findings = findings
        self._carry = b""
        self._seen = 0
        self._answered = False
        self.first = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember where to write."""
        self._transport = transport

    def ask(self, request: bytes) -> None:
        """Send the request; the clock runs."""
        self._asked_at = time.monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note each chunk's lateness."""
        now = time.monotonic_ns()
        findings = self._findings
        if not self._answered:
            self._answered = True
            if b" 200 " not in data[:20]:
                findings.problem(data[:200].decode(errors="replace").splitlines()[0])
        text = self._carry + data
        end = 0
        count = 0
        for match in _STAMP.finditer(text):
            end = match.end()
            count += 1
            self._seen += 1
            if int(match[1]) != self._seen:
                findings.problem("a chunk is missing or out of order")
            findings.delays_us.append((now - int(match[2])) / 1e3)
        if count:
            findings.reads += 1
            findings.joined_reads += count > 1
            if not self.first.done():
                findings.ttft_us.append((now - self._asked_at) / 1e3)
                self.first.set_result(None)
        if b"[DONE]" in text[end:]:
            self._end()
        else:
            self._carry = text[max(end, len(text) - _LONGEST_STAMP) :]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """A connection that ends before its stream is a problem, unless we have left."""
        if not self.ended.done():
            self._findings.problem("the connection ended early")
            self._end()

    def leave(self) -> None:
        """Go without waiting for the end."""
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()

    def _end(self) -> None:
        if self.ended.done():
            return
        if self._seen == self._expected:
            self._findings.whole += 1
        else:
            self._findings.problem("the stream is not whole")
        if not self.first.done():
            self.first.set_result(None)
        self.ended.set_result(None)
        self._transport.close()


async def run(order: dict[str, int], body: str, key: str) -> Findings:
    """All streams of an order, begun evenly over ten intervals (or two seconds, where that is shorter)."""
    loop = asyncio.get_running_loop()
    findings = Findings()
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{order['port']}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    streams = []
    for _ in range(order["streams"]):
        _, stream = await loop.create_connection(lambda: Stream(order, findings), "127.0.0.1", order["port"])
        streams.append(stream)
    step = min(10 * order["interval_us"] / 1e6, 2.0) / len(streams)
    start = loop.time()
    for number, stream in enumerate(streams):
        loop.call_at(start + number * step, stream.ask, request)
    if order.get("hold"):
        await asyncio.gather(*(stream.first for stream in streams))
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for stream in streams:
            stream.leave()
    else:
        await asyncio.gather(*(stream.ended for stream in streams))
    return findings


def quantile(values: list[float], part: float) -> float:
    """The value below which `part` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def main() -> None:
    """Run the order of the command line."""
    order = json.loads(sys.argv[1])
    findings = uvloop.run(run(order["counts"], order["body"], order["key"]))
    report = {
        "chunks": len(findings.delays_us),
        "whole": findings.whole,
        "joined_reads": findings.joined_reads / max(findings.reads, 1),
        "ttft_p50_us": quantile(findings.ttft_us, 0.5),
        "ttft_p99_us": quantile(findings.ttft_us, 0.99),
        "delay_p50_us": quantile(findings.delays_us, 0.5),
        "delay_p99_us": quantile(findings.delays_us, 0.99),
        "problems": findings.problems,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
