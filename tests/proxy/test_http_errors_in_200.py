"""Errors that come with a good status: before any content they count as the status that they name."""

import json

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.wires import TEXT, WIRES, Wire

ALL = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
AS = pytest.mark.parametrize("as_", ["event", "object", "answer"])


def failing(wire: Wire, as_: str, kind: str, message: str = "It can't be done.") -> Script:
    """An error as the first event of a stream, as an object in place of one, or in place of an answer."""
    if as_ == "event":
        return Script(inserts={0: wire.error_event(kind, message)})
    return Script(body=json.dumps(wire.error_body(kind, message)))


@ALL
@AS
def test_an_overload_is_retried_once_and_goes_on_elsewhere(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, as_: str
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", failing(wire, as_, "overloaded_error", "Overloaded"))
    assert wire.said(client, two.model, stream=as_ != "answer") == TEXT
    assert two.asked() == {"first": 2, "second": 1}
    assert [attempt[1] for attempt in hub.record(two.model)["trail"]] == ["529", "529", "ok"]


@ALL
@AS
def test_a_rate_limit_cools(client: httpx.Client, route: MakeRoute, wire: Wire, as_: str) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", failing(wire, as_, "rate_limit_error"))
    assert wire.said(client, two.model, stream=as_ != "answer") == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    two.backend_when("first", status="cooling", consecutive_429_count=1)


@ALL
def test_a_rejected_key_ends_the_backend(client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", failing(wire, "event", "authentication_error"))
    assert wire.said(client, two.model, stream=True) == TEXT
    backend = two.backend_when("first", status="error", error_kind="credentials")
    assert "401" in backend["error_reason"]


@ALL
@AS
def test_the_callers_own_mistake_goes_back_with_the_status_that_it_names(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, as_: str
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", failing(wire, as_, "invalid_request_error", "max_tokens is odd"))
    answer = wire.post(client, two.model, stream=as_ != "answer")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert "max_tokens is odd" in answer.json()["error"]["message"]
    assert two.asked() == {"first": 1, "second": 0}
    record = hub.record(two.model)
    assert (record["status"], record["error_type"]) == (400, "client_error")
    assert two.backend("first")["status"] == "healthy"


@ALL
def test_an_error_after_content_ends_the_stream_and_is_never_hidden(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", Script(inserts={2: wire.error_event("overloaded_error", "Overloaded")}))
    streamed = wire.stream(client, two.model)
    assert (streamed.status, wire.text(streamed)) == (200, "word0 word1 ")
    [error] = wire.errors(streamed)
    assert "529" in error["message"]
    assert not wire.complete(streamed)
    assert streamed.broken
    assert two.asked() == {"first": 1, "second": 0}
    record = hub.record(two.model)
    assert (record["status"], record["error_type"], record["partial"]) == (200, "stream_broken", True)
    assert [attempt[1] for attempt in record["trail"]] == ["529"]
    assert record["estimated"]
    assert 2 <= record["output_tokens"] <= 8  # also where the backend has counted the prompt already


@ALL
@pytest.mark.parametrize("cut", ["reset", "close"])
def test_a_stream_that_is_cut_before_content_goes_on_unseen(
    client: httpx.Client, route: MakeRoute, wire: Wire, cut: str
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", Script(cut="reset" if cut == "reset" else "close"))
    assert wire.said(client, two.model, stream=True) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
