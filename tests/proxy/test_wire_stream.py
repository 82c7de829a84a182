"""Streams: events go through as they come, and a truncated answer never looks complete."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.proxy.conftest import MakeRoute, new_key, queue_depth
from tests.proxy.route import Route
from tests.proxy.streams import Streamed, pieces, read_stream

CHAT = "/v1/chat/completions"

pytestmark = pytest.mark.usefixtures("mode")


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on both ways from the socket to the proxy."""
    return str(request.param)


TEXT = "word0 word1 word2 word3 word4 "
WITH_USAGE = {"stream_options": {"include_usage": True}}


def direct(route: Route, script: Script, body: dict[str, Any], path: str = CHAT) -> bytes:
    """What the backend itself says, asked without the hub between."""
    route.standin.script("direct", script)
    with httpx.Client(base_url=route.standin.url("direct"), trust_env=False) as client:
        return read_stream(client, body | {"model": "native-only"}, path.removeprefix("/v1")).raw


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_events_go_through_byte_for_byte(client: httpx.Client, route: MakeRoute, path: str) -> None:
    one = route("only")
    script = Script(
        text="é \U0001f600 {n}", inserts={0: ": a comment\n\n", 3: 'data: {"odd":   true, "choices":[]}\n\n'}
    )
    one.script("only", script)
    expected = direct(one, script, one.chat(**WITH_USAGE), path)
    assert read_stream(client, one.chat(**WITH_USAGE), path).raw == expected


def test_what_drips_arrives_whole(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(drip_bytes=7))
    expected = direct(one, Script(), one.chat(**WITH_USAGE))
    assert read_stream(client, one.chat(**WITH_USAGE)).raw == expected


def test_each_event_arrives_before_the_next_is_made(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(gate=one.model, chunks=10))
    one.standin.open_gate(one.model, 2)
    streamed = Streamed()
    for number, piece in enumerate(pieces(client, one.chat(), streamed)):
        streamed.raw += piece
        if number < 10:
            assert streamed.text.split() == [f"word{n}" for n in range(number + 1)]
            assert one.seen("only")[0].chunks_sent == number + 1
            one.standin.open_gate(one.model, number + 3)
    assert streamed.done


def test_usage_is_shown_to_those_who_asked_and_only_to_them(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    shown = read_stream(client, one.chat(**WITH_USAGE))
    hidden = read_stream(client, one.chat())
    assert shown.chunks[-1]["usage"]["total_tokens"] == 16
    assert not any(chunk.get("usage") for chunk in hidden.chunks)
    assert hidden.text == shown.text == TEXT
    other = read_stream(client, one.chat(stream_options={"include_usage": False}))
    assert not any(chunk.get("usage") for chunk in other.chunks)


def test_without_usage_tokens_are_estimated_and_the_record_says_so(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only")
    one.script("only", Script(usage=False, chunks=40))
    assert read_stream(client, one.chat()).done
    assert client.post(CHAT, json=one.chat()).status_code == 200
    for record in hub.records(one.model, count=2):
        assert record["estimated"]
        assert 20 <= record["output_tokens"] <= 160
        assert record["input_tokens"] > 0
        assert record["cost_usd"] > 0


def test_a_model_without_a_price_costs_nothing_known(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only", mappings={"only": {"cost": {}}})
    assert read_stream(client, one.chat()).done
    assert hub.record(one.model)["cost_usd"] is None


def test_a_backend_that_does_not_know_stream_options_is_learned(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    two = route("first", "second")
    two.script("first", Script(rejects_stream_options=True))
    for _ in range(2):
        assert read_stream(client, two.chat()).text == TEXT
    assert two.asked() == {"first": 3, "second": 0}
    assert ["stream_options" in seen.json for seen in two.seen("first")] == [True, False, False]
    assert [record["attempts"] for record in hub.records(two.model, count=2)] == [1, 1]


BEFORE_CONTENT = {
    "reset": Script(cut="reset"),
    "closed": Script(cut="close"),
    "error event": Script(inserts={0: 'data: {"error": {"message": "Overloaded.", "code": 503}}\n\n'}),
    "bare error": Script(role_event=False, inserts={0: 'data: {"error": "busy"}\n\n'}),
    "error object": Script(body='{"error": {"message": "No.", "code": 500}}'),
    "an answer at once": Script(body='{"choices": [{"message": {"content": "x"}}]}'),
    "garbage": Script(role_event=False, chunks=0, finish=False, done=False, inserts={0: "<html>\n\n"}),
    "nothing": Script(role_event=False, chunks=0, finish=False, done=False),
    "a huge line": Script(inserts={0: "data: " + "x" * 6_000_000}),
}


@pytest.mark.parametrize("script", BEFORE_CONTENT.values(), ids=BEFORE_CONTENT.keys())
def test_what_goes_wrong_before_content_goes_on_elsewhere_unseen(
    hub: Hub, client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    two = route("first", "second")
    two.script("first", script)
    expected = direct(two, Script(), two.chat(**WITH_USAGE)).replace(b"native-only", b"native-second")
    streamed = read_stream(client, two.chat(**WITH_USAGE))
    assert streamed.raw == expected  # nothing of the first
    assert streamed.headers["x-agenthub-pool"] == "fallback"
    assert hub.record(two.model)["status"] == 200


def test_an_error_event_is_taken_as_the_status_that_it_names(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(inserts={0: 'data: {"error": {"type": "rate_limit_error", "message": "x"}}\n\n'}))
    assert read_stream(client, two.chat()).text == TEXT
    assert two.asked()["first"] == 1
    two.backend_when("first", status="cooling")


AFTER_CONTENT = {
    "reset": Script(cut="reset", cut_after=2),
    "closed": Script(cut="close", cut_after=2),
    "no end": Script(chunks=2, finish=False, done=False),
    "error event": Script(inserts={2: 'data: {"error": {"message": "Overloaded.", "code": 503}}\n\n'}),
    "a huge line": Script(inserts={2: "data: " + "x" * 6_000_000}),
    "silence": Script(silent_after=2),
    "closed without a length": Script(cut="close", cut_after=2, chunked=False),
}


@pytest.mark.parametrize("script", AFTER_CONTENT.values(), ids=AFTER_CONTENT.keys())
def test_what_goes_wrong_after_content_ends_with_an_error_and_abnormally(
    hub: Hub, client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    client.timeout = 20  # seconds, far below the default limit of silence
    with hub.settings(stream_idle_timeout_seconds=0.5):
        two = route("first", "second")
        two.script("first", script)
        streamed = read_stream(client, two.chat())
    assert streamed.status == 200
    assert streamed.text == "word0 word1 "
    assert len(streamed.errors) == 1
    assert set(streamed.errors[0]) >= {"message", "type", "param", "code"}
    assert "[DONE]" not in streamed.events
    assert streamed.broken
    assert two.asked() == {"first": 1, "second": 0}
    record = hub.record(two.model)
    assert (record["status"], record["error_type"], record["partial"]) == (200, "stream_broken", True)
    assert record["output_tokens"] > 0


def test_a_broken_stream_counts_against_its_backend(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(cut="reset", cut_after=2))
    for _ in range(3):
        assert read_stream(client, two.chat()).broken
    assert read_stream(client, two.chat()).done
    two.backend_when("first", status="cooling")


MALFORMED = {
    "half an object": "data: {oops\n\n",
    "words": "data: hello\n\n",
    "no UTF-8": 'data: {"choices":[{"index":0,"delta":{"content":"\udcff"}}]}\n\n',
    "a number": "data: 7\n\n",
    "nested without end": "data: " + '{"a":' * 100_000 + "\n\n",
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_malformed_event_is_dropped(client: httpx.Client, route: MakeRoute, event: str, at: int) -> None:
    one = route("only")
    one.script("only", Script(inserts={at: event}))
    streamed = read_stream(client, one.chat())
    assert (streamed.text, streamed.done, streamed.broken) == (TEXT, True, False), (streamed, one.seen("only"))
    assert len(streamed.events) == 8


def test_an_event_of_some_megabytes_goes_through(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(text="x" * 2_000_000, chunks=3))
    assert read_stream(client, one.chat()).text == "x" * 6_000_000


@pytest.mark.parametrize("script", [Script(done=False), Script(done=False, chunked=False)], ids=["chunked", "closed"])
def test_a_stream_with_a_finish_reason_is_complete_without_done(
    hub: Hub, client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    one = route("only")
    one.script("only", script)
    streamed = read_stream(client, one.chat())
    assert (streamed.text, streamed.done, streamed.broken) == (TEXT, True, False), (streamed, one.seen("only"))
    record = hub.record(one.model)
    assert (record["error_type"], record["output_tokens"], record["estimated"]) == ("", 5, False)


def test_a_stream_that_only_thinks_or_calls_tools_has_content(client: httpx.Client, route: MakeRoute) -> None:
    for delta in (
        '{"reasoning_content": "hm"}',
        '{"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}',
        '{"refusal": "No."}',
    ):
        two = route("first", "second")
        event = f'data: {{"choices": [{{"index": 0, "delta": {delta}, "finish_reason": null}}]}}\n\n'
        two.script("first", Script(inserts={0: event}, cut="reset", cut_after=0))
        streamed = read_stream(client, two.chat())
        assert streamed.broken
        assert two.asked() == {"first": 1, "second": 0}


def test_a_slow_reader_holds_its_backend_back_and_loses_nothing(
    hub: Hub, client: httpx.Client, route: MakeRoute, key: str
) -> None:
    one, other = route("only"), route("only")
    one.script("only", Script(text="x" * 100_000, chunks=1000))
    with asking_by_hand(hub, key, one.chat(stream=True)) as connection:
        [seen] = one.wait_seen("only", lambda each: each.stalled)
        for _ in range(200):  # time enough for a hub that would take in all of it
            assert client.post(CHAT, json=other.chat()).status_code == 200
        assert seen.chunks_sent < 300  # of 100 MB, what sockets and buffers hold
        received = 0
        while data := connection.recv(1 << 20):
            received += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
    assert received > 100_000_000
    assert hub.record(one.model)["error_type"] == ""


@pytest.mark.parametrize("mode", ["embedded"], indirect=True)  # by plain ASGI nobody sees what a socket has taken
def test_a_reader_that_is_slow_but_steady_is_waited_for_and_one_that_stands_still_is_not(
    hub: Hub, key: str, route: MakeRoute
) -> None:
    with hub.settings(stream_idle_timeout_seconds=0.5):
        slow, still = route("only"), route("only")
        for each in (slow, still):
            each.script("only", Script(text="x" * 3_500_000, chunks=4))
        received = b""
        with asking_by_hand(hub, key, slow.chat(stream=True), socket_bytes=65_536) as connection:
            while data := connection.recv(65_536):
                received = received[-10:] + data
                if received.endswith(b"0\r\n\r\n"):
                    break
                time.sleep(0.02)  # its pace: each event takes it longer than a stream may be silent
        assert received.endswith(b"0\r\n\r\n")
        assert hub.record(slow.model)["error_type"] == ""
        with asking_by_hand(hub, key, still.chat(stream=True), socket_bytes=65_536):
            assert hub.record(still.model)["error_type"] == "client_gone"


@contextmanager
def asking_by_hand(hub: Hub, key: str, body: dict[str, Any], *, socket_bytes: int = 0) -> Iterator[socket.socket]:
    """A connection on which a request has been sent and nothing has been read."""
    content = httpx.Request("POST", hub.base_url, json=body).read()
    host, port = hub.base_url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.settimeout(30)
        if socket_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, socket_bytes)  # before it counts as a window
        connection.connect((host, int(port)))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        yield connection


def test_a_caller_that_leaves_a_stream_cancels_it_and_is_recorded(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    two = route("first", "second")
    two.script("first", Script(gate=two.model, chunks=100))
    two.standin.open_gate(two.model, 4)
    streamed = Streamed()
    for piece in pieces(client, two.chat(), streamed):
        streamed.raw += piece
        if "word2" in streamed.text:
            break
    [seen] = two.wait_seen("first", lambda each: each.disconnected)
    assert seen.chunks_sent == 3
    record = hub.record(two.model)
    assert (record["status"], record["error_type"], record["partial"]) == (499, "client_gone", True)
    assert record["estimated"]
    assert record["output_tokens"] > 0
    assert two.asked() == {"first": 1, "second": 0}
    assert two.backend("first")["status"] == "healthy"


def test_a_caller_that_leaves_in_the_middle_of_its_request_is_recorded(hub: Hub, client: httpx.Client) -> None:
    key = new_key(hub, agent_id=(agent := f"agent-{uuid4().hex}"))
    host, port = hub.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b'{"model": "m"')
    [record] = wait_until(lambda: hub.rows("providers_usagerecord", agent_id=agent), "The record")
    assert (record["status"], record["error_type"], record["backend_id"]) == (499, "client_gone", "")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_caller_that_leaves_before_the_answer_cancels_it(
    hub: Hub, client: httpx.Client, route: MakeRoute, key: str, stream: bool
) -> None:
    two = route("first", "second")
    two.script("first", Script(before_head_seconds=60))
    with asking_by_hand(hub, key, two.chat(stream=stream)):
        two.wait_seen("first", lambda _: True)
    two.wait_seen("first", lambda each: each.disconnected)
    record = hub.record(two.model)
    assert (record["status"], record["error_type"]) == (499, "client_gone")
    assert two.asked() == {"first": 1, "second": 0}


def test_a_caller_that_leaves_the_queue_is_never_served(
    hub: Hub, client: httpx.Client, route: MakeRoute, key: str
) -> None:
    one = route("only", fields={"only": {"max_concurrency": 1}})
    one.script("only", Script(gate=one.model))
    first = threading.Thread(target=client.post, args=(CHAT,), kwargs={"json": one.chat()})
    first.start()
    one.wait_seen("only", lambda _: True)
    with asking_by_hand(hub, key, one.chat()):
        wait_until(lambda: queue_depth(hub) == 1, "The second waits")
    wait_until(lambda: queue_depth(hub) == 0, "It has left")
    one.standin.open_gate(one.model)
    first.join()
    assert sorted(record["status"] for record in hub.records(one.model, count=2)) == [200, 499]
    assert one.asked() == {"only": 1}
