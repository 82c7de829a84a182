"""The bench's own instruments: what it sends, how it judges streams, how it sums up."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest

from bench import report, streamclient
from bench.machine import Noise, cpu_seconds, family, rss_bytes
from bench.measures import Sample
from bench.payload import json_body, stream_body
from bench.results import Results
from bench.streamserver import Upstream

CALM, LOUD = Noise(others=0.05, steal=0.0).as_json(), Noise(others=0.9, steal=0.0).as_json()


def test_the_request_is_about_a_kilobyte_with_four_messages() -> None:
    body = json_body()
    assert 900 < len(body) < 1300
    assert len(json.loads(body)["messages"]) == 4


def test_the_long_prompt_is_at_least_256_kib() -> None:
    assert 256 * 1024 < len(json_body(least_bytes=256 * 1024)) < 260 * 1024


@pytest.fixture
async def upstream() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def streamed(port: int, *, sent: int, expected: int) -> streamclient.Findings:
    order = {"port": port, "streams": 3, "chunks": expected, "interval_us": 1000}
    return await streamclient.run(order, stream_body(chunks=sent, interval_us=1000), "key")


async def test_whole_streams_are_found_whole(upstream: int) -> None:
    findings = await streamed(upstream, sent=5, expected=5)
    assert (findings.whole, findings.problems) == (3, {})
    assert len(findings.delays_us) == 15
    assert len(findings.ttft_us) == 3


async def test_a_stream_that_lacks_a_chunk_is_not_whole(upstream: int) -> None:
    findings = await streamed(upstream, sent=4, expected=5)
    assert (findings.whole, findings.problems) == (0, {"the stream is not whole": 3})


def samples(*values: tuple[float, dict[str, float | bool]]) -> Results:
    return Results(samples=[Sample("agenthub", "json c64", {"cpu_us_per_request": value}, n) for value, n in values])


def test_loud_samples_do_not_count_beside_calm_ones() -> None:
    spread = samples((100, CALM), (900, LOUD), (120, CALM)).spread("agenthub", "json c64", "cpu_us_per_request")
    assert spread is not None
    assert (spread.least, spread.median, spread.most, spread.calm) == (100, 110, 120, True)


def test_loud_samples_count_where_there_are_no_others_and_are_marked() -> None:
    results = samples((900, LOUD))
    spread = results.spread("agenthub", "json c64", "cpu_us_per_request")
    assert spread is not None
    assert not spread.calm
    assert "**900** ¹" in report.tables(results)


def test_the_goals_say_whether_a_gate_is_met() -> None:
    assert "| CPU µs per JSON request | ≤ 200 | ≤ 90 | 150 | yes |" in report.tables(samples((150, CALM)))
    assert "| CPU µs per JSON request | ≤ 200 | ≤ 90 | 250 | no |" in report.tables(samples((250, CALM)))


def test_the_page_has_one_place_for_the_figures() -> None:
    page = report.PAGE.read_text()
    assert page.count(report.BEGIN) == page.count(report.END) == 1


async def test_cpu_and_memory_are_those_of_the_whole_family() -> None:
    code = (
        "import sys; x = bytearray(30_000_000); print(sum(i * i for i in range(10**6)), flush=True); sys.stdin.read()"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    assert cpu_seconds(child.pid) > 0.01
    assert rss_bytes(child.pid) > 30_000_000
    assert family(child.pid) == [child.pid]
    await child.communicate(b"")
