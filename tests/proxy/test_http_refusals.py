"""Bad input and strangers: each gets the error of the spec, in OpenAI's shape, and the hub lives on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub, wait_until
from tests.proxy.conftest import MakeRoute, new_key

CHAT = "/v1/chat/completions"

pytestmark = pytest.mark.usefixtures("mode")


@pytest.fixture(scope="module", params=["embedded", "distributed"])
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on both ways from the socket to the proxy."""
    return str(request.param)


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, after a look at its shape."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"]
    assert answer.headers["x-request-id"] == error["request_id"]
    return error


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"model"', b'{"model": }', b'{"model": "m"} x', b"\xff\xfe{}", b'{"model": "\xff"}'],
    ids=repr,
)
def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client, body: bytes) -> None:
    assert error_of(client.post(CHAT, content=body), 400)["code"] in ("invalid_json", "invalid_request")
    assert client.get("/health").status_code == 200


def test_malformed_json_has_a_code_of_its_own(client: httpx.Client) -> None:
    error = error_of(client.post(CHAT, content=b'{"model": "m", '), 400)
    assert (error["code"], error["type"]) == ("invalid_json", "invalid_request_error")


def test_json_that_is_nested_without_end_is_refused_or_served_but_kills_nothing(
    client: httpx.Client, route: MakeRoute
) -> None:
    one = route("only")
    body = f'{{"model": "{one.model}", "messages": {"[" * 200_000}{"]" * 200_000}}}'
    assert client.post(CHAT, content=body).status_code in (200, 400)
    assert client.post(CHAT, json=one.chat()).status_code == 200


@pytest.mark.parametrize("fields", [{}, {"model": ""}, {"model": 7}, {"model": None}, {"model": ["m"]}], ids=repr)
def test_a_request_needs_a_model(client: httpx.Client, fields: dict[str, Any]) -> None:
    assert error_of(client.post(CHAT, json={"messages": [], **fields}), 400)["param"] == "model"


def test_a_stream_that_is_neither_true_nor_false_is_refused(client: httpx.Client) -> None:
    assert error_of(client.post(CHAT, json={"model": "m", "stream": "yes"}), 400)["param"] == "stream"


def test_an_unknown_model_is_told_what_may_have_been_meant(client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    error = error_of(client.post(CHAT, json=one.chat() | {"model": one.model[:-1]}), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert one.model in error["message"]


def test_a_request_that_is_refused_to_a_known_caller_has_a_record(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    unknown = route("only").model + "-unknown"
    client.post(CHAT, json={"model": unknown, "messages": []})
    record = hub.record(unknown)
    assert (record["status"], record["error_type"], record["backend_id"]) == (404, "model_not_found", "")
    assert record["cost_usd"] is None


def test_a_model_that_the_key_may_not_use_is_forbidden_and_not_listed(hub: Hub, route: MakeRoute) -> None:
    allowed, other = route("only"), route("only")
    limited = new_key(hub, allowed_models=[f"{allowed.model[:-3]}*"])
    with hub.client(limited) as client:
        error = error_of(client.post(CHAT, json=other.chat()), 403)
        assert (error["code"], error["param"]) == ("model_not_allowed", "model")
        assert client.post(CHAT, json=allowed.chat()).status_code == 200
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [allowed.model]
        assert client.get(f"/v1/models/{other.model}").status_code == 404
    with hub.openai(limited) as official, pytest.raises(openai.PermissionDeniedError):
        official.chat.completions.create(model=other.model, messages=[{"role": "user", "content": "x"}])
    assert other.asked() == {"only": 0}


@pytest.fixture
def stranger(hub: Hub) -> Iterator[httpx.Client]:
    """A client without any key."""
    with hub.client() as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer ah-0000000000000000000000000000000000000000"},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"x-api-key": "ah-wrong"},
        {"authorization": "Bearer " + "x" * 5000},
    ],
    ids=lambda headers: repr(headers)[:50],
)
def test_without_a_good_key_nobody_is_served(stranger: httpx.Client, route: MakeRoute, headers: dict[str, str]) -> None:
    one = route("only")
    answer = stranger.post(CHAT, json=one.chat(), headers=headers)
    assert error_of(answer, 401)["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/models", f"/v1/models/{one.model}", "/v1/key", "/v1/usage"):
        assert stranger.get(path, headers=headers).status_code == 401
    assert one.asked() == {"only": 0}


def test_a_key_may_come_as_x_api_key(stranger: httpx.Client, key: str, route: MakeRoute) -> None:
    one = route("only")
    assert stranger.post(CHAT, json=one.chat(), headers={"x-api-key": key}).status_code == 200


def test_strangers_leave_no_records(hub: Hub, stranger: httpx.Client, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    for _ in range(3):
        stranger.post(CHAT, json=one.chat(), headers={"x-api-key": "ah-wrong"})
    client.post(CHAT, json=one.chat())
    assert hub.record(one.model)["status"] == 200


def test_a_key_that_has_expired_is_refused(hub: Hub, route: MakeRoute) -> None:
    one = route("only")
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    with hub.client(new_key(hub, expires_at=soon.isoformat())) as client:
        answer = wait_until(
            lambda: (found := client.post(CHAT, json=one.chat())).status_code != 200 and found, "The key expires"
        )
    assert error_of(answer, 401)["code"] == "invalid_api_key"
    assert datetime.now(UTC) >= soon


@pytest.mark.parametrize("end", ["disabled", "revoked"])
def test_a_key_that_is_disabled_or_revoked_is_dead_in_a_moment(hub: Hub, route: MakeRoute, end: str) -> None:
    one = route("only")
    key = new_key(hub, name=f"to be {end} {one.model}")
    [row] = [row for row in hub.management.request("GET", "/keys", limit=1000) if one.model in row["name"]]
    with hub.client(key) as client:
        assert client.post(CHAT, json=one.chat()).status_code == 200
        if end == "disabled":
            hub.management.request("PATCH", f"/keys/{row['id']}", {"enabled": False})
        else:
            hub.management.request("DELETE", f"/keys/{row['id']}")
        wait_until(lambda: client.post(CHAT, json=one.chat()).status_code == 401, "The key is dead", seconds=5)
        assert client.get("/v1/models").status_code == 401


def test_a_body_over_the_limit_is_refused_announced_or_not(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(max_body_bytes=5000):
        one = route("only")
        long = one.chat(padding="x" * 5000)
        assert error_of(client.post(CHAT, json=long), 413)["code"] == "request_too_large"
        pieces = (b"x" * 1000 for _ in range(20))
        assert error_of(client.post(CHAT, content=pieces), 413)["code"] == "request_too_large"
        assert client.post(CHAT, json=one.chat()).status_code == 200
    assert one.asked() == {"only": 1}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/"),
        ("POST", "/v1/models"),
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/files/1"),
        ("POST", "/v1/chat%2f..%2f..%2fcompletions"),
    ],
)
def test_what_is_unknown_below_v1_is_a_404_in_openais_shape(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, json={"model": "m"} if method == "POST" else None)
    error = error_of(answer, 404)
    assert error["type"] == "invalid_request_error"


def test_a_known_route_names_its_method(client: httpx.Client) -> None:
    answer = client.get(CHAT)
    assert error_of(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_callers_own_mistakes_come_back_untouched(
    hub: Hub, client: httpx.Client, route: MakeRoute, status: int
) -> None:
    two = route("first", "second")
    body = '{"error": {"message": "odd",   "type": "x", "param": "temperature", "code": "bad_value"}, "more": [1]}'
    two.script("first", Script(status=status, body=body))
    answer = client.post(CHAT, json=two.chat())
    assert (answer.status_code, answer.text) == (status, body)
    assert two.asked() == {"first": 1, "second": 0}
    assert two.backend("first")["status"] == "healthy"
    record = hub.record(two.model)
    assert (record["status"], record["error_type"]) == (status, "client_error")


def test_a_content_filter_comes_back_untouched(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=400, error_code="content_filter", error_message="Filtered."))
    assert client.post(CHAT, json=two.chat()).json()["error"]["code"] == "content_filter"
    assert two.asked() == {"first": 1, "second": 0}
    assert hub.record(two.model)["error_type"] == "content_filter"


def test_too_long_a_prompt_goes_to_a_larger_window_if_there_is_one(client: httpx.Client, route: MakeRoute) -> None:
    too_long = Script(status=400, error_code="context_length_exceeded", error_message="Too long.")
    windows = {"first": 8000, "second": 8000, "third": 32_000}
    mappings = {name: {"context_window": window} for name, window in windows.items()}
    three = route("first", "second", "third", mappings=mappings)
    three.script("first", too_long)
    assert client.post(CHAT, json=three.chat()).status_code == 200
    assert three.asked() == {"first": 1, "second": 0, "third": 1}
    three.script("third", too_long)
    answer = client.post(CHAT, json=three.chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
