"""Stopping and coming back: running streams finish, new requests are refused, nothing is forgotten."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.hub import Hub
from tests.proxy.conftest import new_key
from tests.proxy.route import make_route
from tests.proxy.streams import read_stream

CHAT = "/v1/chat/completions"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that the test may stop."""
    with Hub(tmp_path_factory.mktemp("own")) as running:
        yield running


def test_a_stop_lets_streams_finish_refuses_what_is_new_and_forgets_nothing(own_hub: Hub, standin: StandIn) -> None:
    key = new_key(own_hub)
    two = make_route(own_hub, standin, ("first", "second"), key=key)
    two.script("first", Script(status=429, headers={"retry-after": "600"}))
    two.script("second", Script(gate=two.model))
    standin.open_gate(two.model, 3)
    with own_hub.client(key) as client, ThreadPoolExecutor(5) as pool:
        running = [pool.submit(read_stream, client, two.chat()) for _ in range(5)]
        two.wait_seen("second", lambda seen: seen.chunks_sent == 2, count=5)
        two.backend_when("first", status="cooling")
        asked = two.asked()["first"]
        own_hub.signal(signal.SIGTERM)
        served = 0
        while (refused := client.post(CHAT, json=two.chat())).status_code == 200:
            served += 1  # until the signal has reached the web process
        standin.open_gate(two.model)
        streams = [each.result() for each in running]
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    assert refused.headers["connection"] == "close"
    assert int(refused.headers["retry-after"]) >= 1
    assert all(stream.done and not stream.broken for stream in streams)
    assert own_hub.wait() == 0

    own_hub.start()
    assert {record["status"] for record in own_hub.records(two.model, count=5 + served)} == {200}
    assert len(own_hub.rows("providers_usagerecord", error_type="shutting_down", status=503)) == 1
    with own_hub.client(key) as client:
        answer = client.post(CHAT, json=two.chat())
    assert answer.headers["x-agenthub-pool"] == "fallback"  # the first goes on cooling
    assert two.asked()["first"] == asked


def test_a_stream_that_outlasts_the_grace_is_cut_and_never_looks_complete(own_hub: Hub, standin: StandIn) -> None:
    key = new_key(own_hub)
    with own_hub.settings(shutdown_grace_seconds=0.5), own_hub.client(key) as client, ThreadPoolExecutor(1) as pool:
        one = make_route(own_hub, standin, ("only",), key=key)
        one.script("only", Script(silent_after=2))
        running = pool.submit(read_stream, client, one.chat())
        one.wait_seen("only", lambda seen: seen.chunks_sent == 2)
        own_hub.signal(signal.SIGTERM)
        stream = running.result()
        assert own_hub.wait() == 0
        assert stream.broken
        assert not stream.done
        own_hub.start()
        record = own_hub.record(one.model)
        assert (record["status"], record["partial"]) == (499, True)


def test_a_kill_while_streaming_leaves_each_request_in_the_sums_once(own_hub: Hub, standin: StandIn) -> None:
    key = new_key(own_hub)
    one = make_route(own_hub, standin, ("only",), key=key)
    with own_hub.client(key) as client:
        for _ in range(20):
            assert client.post(CHAT, json=one.chat()).status_code == 200
        one.script("only", Script(silent_after=2))
        with ThreadPoolExecutor(3) as pool:
            cut = [pool.submit(broken_stream, client, one.chat()) for _ in range(3)]
            one.wait_seen("only", lambda seen: seen.finished or seen.chunks_sent == 2, count=23)
            own_hub.kill9()
            assert all(each.result() for each in cut)
    own_hub.start()
    records = own_hub.records(one.model, count=23)
    assert sorted(record["error_type"] for record in records) == [""] * 20 + ["interrupted"] * 3
    rows = own_hub.rows("providers_hourlyusage", model=one.model)
    assert sum(row["request_count"] for row in rows) == 23
    assert sum(row["output_tokens"] for row in rows if row["backend_id"]) >= 100


def broken_stream(client: httpx.Client, body: dict[str, object]) -> bool:
    """Whether a stream breaks off."""
    return read_stream(client, body).broken
