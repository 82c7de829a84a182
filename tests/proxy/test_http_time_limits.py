"""Silence has a limit in each phase of a request, and each is its own."""

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.wires import CHAT, MESSAGES, TEXT, WIRES, Wire

ALL = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
FINISH = {
    "chat": 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n',
    "messages": 'event: message_delta\ndata: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}\n\n',
}


def outcomes(hub: Hub, model: str) -> list[str]:
    """How the attempts of the only request have ended."""
    return [attempt[1] for attempt in hub.record(model)["trail"]]


@pytest.fixture(autouse=True)
def impatient(client: httpx.Client) -> None:
    """Who waits for a default limit instead of the one that was set gives up before."""
    client.timeout = httpx.Timeout(9)


@ALL
@pytest.mark.parametrize("script", [Script(before_head_seconds=60), Script(silent_after=0)], ids=["head", "content"])
def test_a_stream_has_a_limit_for_its_first_content(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, script: Script
) -> None:
    with hub.settings(first_token_timeout_seconds=0.3):
        two = wire.route(route, "first", "second")
        two.script("first", script)
        assert wire.said(client, two.model, stream=True) == TEXT
    assert two.asked() == {"first": 1, "second": 1}  # never the same again
    two.wait_seen("first", lambda seen: seen.disconnected)
    assert outcomes(hub, two.model) == ["first_token_timeout", "ok"]


@ALL
def test_an_answer_has_the_backends_limit_for_its_head(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    with hub.settings(first_token_timeout_seconds=0.1, stream_idle_timeout_seconds=0.1):
        two = wire.route(route, "first", "second", fields={"first": {"timeout_seconds": 1}})
        two.script("first", Script(before_head_seconds=60))
        assert wire.said(client, two.model, stream=False) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    assert outcomes(hub, two.model) == ["headers_timeout", "ok"]


@ALL
def test_a_stream_that_falls_silent_is_broken_off(hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    with hub.settings(stream_idle_timeout_seconds=0.3):
        two = wire.route(route, "first", "second")
        two.script("first", Script(silent_after=2))
        streamed = wire.stream(client, two.model)
    assert wire.text(streamed) == "word0 word1 "
    assert len(wire.errors(streamed)) == 1
    assert streamed.broken
    assert not wire.complete(streamed)
    assert outcomes(hub, two.model) == ["idle_timeout"]
    assert two.asked() == {"first": 1, "second": 0}


@ALL
def test_a_stream_may_have_a_limit_in_all(hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    with hub.settings(first_token_timeout_seconds=0.5), hub.settings(stream_total_timeout_seconds=0.5):
        two = wire.route(route, "first", "second")
        two.script("first", Script(chunks=1000, between_chunks_seconds=0.05))
        streamed = wire.stream(client, two.model)
    assert wire.text(streamed).startswith("word0 word1 ")
    assert len(wire.errors(streamed)) == 1
    assert streamed.broken
    assert outcomes(hub, two.model) == ["total_timeout"]


def test_the_limit_in_all_goes_on_elsewhere_before_content(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(first_token_timeout_seconds=0.3), hub.settings(stream_total_timeout_seconds=0.3):
        two = CHAT.route(route, "first", "second", mappings={"first": {"first_token_timeout_seconds": 20}})
        two.script("first", Script(before_first_chunk_seconds=60))
        assert CHAT.said(client, two.model, stream=True) == TEXT
    assert outcomes(hub, two.model) == ["total_timeout", "ok"]


def test_events_that_are_not_for_the_client_are_no_silence(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    empty = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hm"}}
    with hub.settings(stream_idle_timeout_seconds=0.9):
        one = MESSAGES.route(route, "only")
        first = f"event: content_block_delta\ndata: {httpx.Response(200, json=empty).text}\n\n"
        # Deltas without text, which chat has no event for, for longer than a stream may be silent.
        one.script("only", Script(text="", chunks=8, between_chunks_seconds=0.2, inserts={0: first}))
        assert CHAT.said(client, one.model, stream=True) == "hm"
    assert outcomes(hub, one.model) == ["ok"]


@pytest.mark.parametrize("wire", [CHAT, MESSAGES], ids=lambda wire: wire.name)
def test_a_stream_that_falls_silent_behind_its_finish_reason_is_complete(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    with hub.settings(stream_idle_timeout_seconds=0.3):
        one = wire.route(route, "only")
        one.script("only", Script(inserts={5: FINISH[wire.name]}, silent_after=5))
        assert wire.said(client, one.model, stream=True) == TEXT
    assert outcomes(hub, one.model) == ["ok"]
