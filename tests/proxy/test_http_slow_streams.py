"""What a slow stream looks like: comments that fill its silences, and a record of its time to the first content."""

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.wires import CHAT, TEXT, WIRES, Wire

ALL = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
COMMENT = b": keep-alive\n\n"


@ALL
def test_silences_are_filled_with_comments_where_that_is_wished(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    with hub.settings(stream_keepalive_seconds=0.1):
        two = wire.route(route, "first", "second")
        two.script("first", Script(before_head_seconds=0.3, status=401))
        two.script("second", Script(before_first_chunk_seconds=0.3))
        streamed = wire.stream(client, two.model)
    assert streamed.raw.startswith(COMMENT * 2)
    assert (streamed.status, wire.text(streamed), streamed.broken) == (200, TEXT, False)
    assert wire.complete(streamed)
    assert "x-agenthub-pool" not in streamed.headers  # nobody knew it yet
    assert two.asked() == {"first": 1, "second": 1}


@ALL
def test_a_failure_of_all_becomes_an_event_once_a_comment_is_out(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    with hub.settings(stream_keepalive_seconds=0.1):
        one = wire.route(route, "only")
        one.script("only", Script(before_head_seconds=0.3, status=401))
        streamed = wire.stream(client, one.model)
    assert streamed.raw.startswith(COMMENT)
    [error] = wire.errors(streamed)
    assert error["code"] == "upstream_credentials_rejected"
    assert streamed.broken
    assert not wire.complete(streamed)
    assert hub.record(one.model)["status"] == 502


def test_without_that_wish_there_are_none(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(before_first_chunk_seconds=0.3))
    assert b"keep-alive" not in CHAT.stream(client, one.model).raw


@ALL
def test_the_record_has_the_time_to_the_first_content_and_to_the_end(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    one = wire.route(route, "only")
    one.script("only", Script(before_first_chunk_seconds=0.2, between_chunks_seconds=0.05))
    assert wire.said(client, one.model, stream=True) == TEXT
    record = hub.record(one.model)
    assert record["ttft_us"] >= 200_000
    assert record["latency_us"] >= record["ttft_us"] + 190_000  # four pauses
