"""OPTIONS, HEAD, Expect, and pages of other origins."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.hub import Hub, wait_until
from tests.hubs import MODES
from tests.proxy.conftest import MakeRoute

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("mode")]

CHAT = "/v1/chat/completions"
PAGE = "https://app.example.com"


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs in every mode."""
    return str(request.param)


@pytest.fixture
def page(hub: Hub, client: httpx.Client) -> Iterator[httpx.Client]:
    """A client that calls as a page of an allowed origin does."""
    with hub.settings(cors_allowed_origins=f"{PAGE}, http://localhost:3000"):
        wait_until(lambda: "vary" in client.options(CHAT, headers={"origin": PAGE}).headers, "The setting is in force")
        client.headers["origin"] = PAGE
        yield client


def test_options_names_the_methods_of_a_path(client: httpx.Client) -> None:
    answers = {path: client.options(path) for path in (CHAT, "/v1/models", "/v1/files", "/v1/nothing")}
    assert [answer.status_code for answer in answers.values()] == [204, 204, 204, 404]
    assert answers[CHAT].headers["allow"] == "POST, OPTIONS"
    assert answers["/v1/files"].headers["allow"] == "GET, POST, OPTIONS"
    assert not any("access-control-allow-origin" in answer.headers for answer in answers.values())


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/v1/models")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.head(CHAT).status_code == 405


def test_no_page_may_read_anything_unless_its_origin_is_allowed(client: httpx.Client) -> None:
    for path in ("/v1/models", "/v1/key"):
        assert "access-control-allow-origin" not in client.get(path, headers={"origin": PAGE}).headers


def test_a_page_of_an_allowed_origin_asks_beforehand_and_then_reads(page: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    before = page.options(CHAT, headers=asked)
    assert before.headers["access-control-allow-origin"] == PAGE
    assert before.headers["access-control-allow-methods"] == "POST"
    assert before.headers["access-control-allow-headers"] == "authorization,content-type"
    answer = page.post(CHAT, json=one.chat())
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert page.get("/v1/models").headers["access-control-allow-origin"] == PAGE
    refused = page.post(CHAT, json={"model": "nothing"})
    assert refused.status_code == 404
    assert refused.headers["access-control-allow-origin"] == PAGE


def test_a_page_of_another_origin_does_not(page: httpx.Client) -> None:
    page.headers["origin"] = "https://evil.example.com"
    answer = page.get("/v1/models")
    assert "access-control-allow-origin" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()


def test_an_origin_that_is_none_is_not_saved(hub: Hub) -> None:
    with httpx.Client(base_url=hub.base_url, headers={"authorization": f"Bearer {hub.token}"}) as admin:
        refused = admin.put("/api/admin/config/cors_allowed_origins", json={"value": "app.example.com/path"})
    assert refused.status_code == 400
    assert "origin" in refused.text


def ask_with_expect(hub: Hub, key: str, body: bytes) -> tuple[bytes, bytes]:
    """What comes before the body is sent, and what comes after."""
    address = urlsplit(hub.base_url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as sock:
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        sock.sendall(head.encode())
        before = sock.recv(65536)
        if not before.startswith(b"HTTP/1.1 100"):
            return before, b""
        sock.sendall(body)
        after = b""
        while piece := sock.recv(65536):
            after += piece
        return before, after


def test_a_body_is_asked_for_only_once_the_key_is_known(hub: Hub, key: str, route: MakeRoute) -> None:
    one = route("only")
    body = httpx.Request("POST", "http://x", json=one.chat()).content
    before, after = ask_with_expect(hub, key, body)
    assert before.startswith(b"HTTP/1.1 100")
    assert after.startswith(b"HTTP/1.1 200")
    refused, _ = ask_with_expect(hub, "ah-nobody", body)
    assert refused.startswith(b"HTTP/1.1 401")
