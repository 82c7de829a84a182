"""The failure table, row by row: what a backend does, what the caller sees, and what becomes of the backend."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.streams import read_stream
from tests.servers import free_port

CHAT = "/v1/chat/completions"
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
BELOW_DEFAULT_LIMITS = 9.0  # seconds; who waits for a default limit instead of the one that was set gives up before
LONG_HEADER = b"HTTP/1.1 200 OK\r\n" + b"x" * 10**6
TEXT = "word0 word1 word2 word3 word4 "


def ask(client: httpx.Client, body: dict[str, Any], *, stream: bool) -> str:
    """What the model says; the answer must be whole."""
    if stream:
        streamed = read_stream(client, body)
        assert (streamed.status, streamed.done, streamed.broken) == (200, True, False), streamed.raw
        return streamed.text
    answer = client.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@BOTH
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_server_error_is_retried_once_and_then_left(
    hub: Hub, client: httpx.Client, route: MakeRoute, status: int, stream: bool
) -> None:
    two = route("first", "second")
    two.script("first", Script(status=status))
    assert ask(client, two.chat(), stream=stream) == TEXT
    assert two.asked() == {"first": 2, "second": 1}
    record = hub.record(two.model)
    assert (record["status"], record["attempts"], record["error_type"]) == (200, 3, "")
    assert [attempt[1] for attempt in record["trail"]] == [str(status), str(status), "ok"]


def test_a_quick_retry_may_be_enough(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=500), Script())
    ask(client, two.chat(), stream=False)
    assert two.asked() == {"first": 2, "second": 0}
    assert two.cooldowns("first") == []


@BOTH
def test_a_rejected_key_is_never_the_callers_and_ends_the_backend(
    client: httpx.Client, route: MakeRoute, stream: bool
) -> None:
    for status in (401, 403):
        two = route("first", "second")
        two.script("first", Script(status=status, error_code="invalid_api_key"))
        assert ask(client, two.chat(), stream=stream) == TEXT
        assert ask(client, two.chat(), stream=stream) == TEXT
        assert two.asked() == {"first": 1, "second": 2}
        backend = two.backend_when("first", status="error", error_kind="credentials")
        assert str(status) in backend["error_reason"]


def test_rejected_credentials_everywhere_are_a_502(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=401))
    two.script("second", Script(status=403))
    for _ in range(2):  # found out, and known
        error = client.post(CHAT, json=two.chat())
        assert (error.status_code, error.json()["error"]["code"]) == (502, "upstream_credentials_rejected")
    assert two.asked() == {"first": 1, "second": 1}
    assert [record["status"] for record in hub.records(two.model, count=2)] == [502, 502]


@pytest.mark.parametrize(
    "script",
    [
        Script(status=402),
        Script(status=429, error_code="insufficient_quota"),
        Script(status=429, error_message="Check your billing details.", headers={"retry-after": "1"}),
    ],
    ids=["402", "insufficient_quota", "billing"],
)
def test_a_spent_quota_ends_the_backend_until_somebody_acts(
    client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    two = route("first", "second")
    two.script("first", script, Script())
    for _ in range(3):
        ask(client, two.chat(), stream=False)
    assert two.asked() == {"first": 1, "second": 3}
    two.backend_when("first", status="error", error_kind="quota")
    assert two.cooldowns("first") == []
    two.hub.management.request("POST", f"/backends/{two.ids['first']}/clear-cooldown", {})
    two.backend_when("first", status="healthy")
    two.standin.wait(lambda _: ask(client, two.chat(), stream=False) and len(two.seen("first")) == 2)


def test_a_model_that_a_backend_does_not_know_flags_its_mapping(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(status=404, error_code="model_not_found", error_message="The model does not exist."))
    assert ask(client, two.chat(), stream=False) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    two.standin.wait(lambda _: two.backend("first")["model_mappings"][two.model]["flagged_at"])
    assert two.backend("first")["status"] == "healthy"


@BOTH
def test_a_backend_that_refuses_connections_is_left(client: httpx.Client, route: MakeRoute, stream: bool) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    two = route("first", "second", addresses={"first": nobody})
    assert ask(client, two.chat(), stream=stream) == TEXT


@BOTH
def test_a_model_that_nobody_can_be_reached_for_is_an_honest_503(
    client: httpx.Client, route: MakeRoute, stream: bool
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    two = route("first", "second", addresses={"first": nobody, "second": nobody})
    answer = client.post(CHAT, json=two.chat(stream=stream))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "all_pools_exhausted")
    assert int(answer.headers["retry-after"]) >= 1


@BOTH
def test_what_is_compressed_against_our_wish_is_unpacked(client: httpx.Client, route: MakeRoute, stream: bool) -> None:
    two = route("first", "second")
    two.script("first", Script(gzip=True))
    assert ask(client, two.chat(), stream=stream) == TEXT
    assert two.asked() == {"first": 1, "second": 0}


@BOTH
def test_a_reset_before_the_first_byte_is_left(client: httpx.Client, route: MakeRoute, stream: bool) -> None:
    two = route("first", "second")
    two.script("first", Script(cut="reset", cut_before_head=True))
    assert ask(client, two.chat(), stream=stream) == TEXT
    assert two.asked()["second"] == 1
    assert two.asked()["first"] >= 2  # a kept connection that dies may be dialled anew


def test_a_backend_that_does_not_take_the_connection_is_left(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(connect_timeout_seconds=0.3), full_house() as port:
        two = route("first", "second", addresses={"first": f"http://127.0.0.1:{port}/v1"})
        assert ask(client, two.chat(), stream=False) == TEXT
    assert [attempt[1] for attempt in hub.record(two.model)["trail"]] == ["connect_timeout", "ok"]


@contextmanager
def full_house() -> Iterator[int]:
    """A port that lets nobody in: it listens, but its few places are taken."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
            waiting.append(one)
        try:
            yield listening.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize(
    "script",
    [Script(before_head_seconds=60), Script(silent_after=0)],
    ids=["no head", "no content"],
)
def test_a_stream_without_content_in_time_goes_on_elsewhere(
    hub: Hub, client: httpx.Client, route: MakeRoute, script: Script
) -> None:
    client.timeout = BELOW_DEFAULT_LIMITS
    with hub.settings(first_token_timeout_seconds=0.3):
        two = route("first", "second")
        two.script("first", script)
        assert ask(client, two.chat(), stream=True) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    two.wait_seen("first", lambda seen: seen.disconnected)
    assert [attempt[1] for attempt in hub.record(two.model)["trail"]] == ["first_token_timeout", "ok"]


def test_a_mapping_may_have_a_first_token_limit_of_its_own(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(first_token_timeout_seconds=0.2):
        two = route("first", "second", mappings={"first": {"first_token_timeout_seconds": 20}})
        two.script("first", Script(before_first_chunk_seconds=0.8))
        assert ask(client, two.chat(), stream=True) == TEXT
    assert two.asked() == {"first": 1, "second": 0}


def test_answers_that_are_not_streamed_have_the_backends_time(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(first_token_timeout_seconds=0.2):
        two = route("first", "second", fields={"first": {"timeout_seconds": 1}})
        two.script("first", Script(before_head_seconds=0.5), Script(before_head_seconds=60))
        assert ask(client, two.chat(), stream=False) == TEXT
        assert two.asked() == {"first": 1, "second": 0}
        assert ask(client, two.chat(), stream=False) == TEXT
    assert two.asked() == {"first": 2, "second": 1}
    trails = [[attempt[1] for attempt in record["trail"]] for record in hub.records(two.model, count=2)]
    assert trails == [["ok"], ["headers_timeout", "ok"]]


def test_silence_everywhere_is_a_504(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    client.timeout = BELOW_DEFAULT_LIMITS
    with hub.settings(first_token_timeout_seconds=0.2):
        two = route("first", "second")
        for name in two.ids:
            two.script(name, Script(before_head_seconds=60))
        answer = client.post(CHAT, json=two.chat(stream=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert two.asked() == {"first": 1, "second": 1}  # never the same again
    assert hub.record(two.model)["status"] == 504


GARBAGE = {
    "no JSON": Script(body="<html>Bad gateway</html>"),
    "JSON that breaks off": Script(body='{"id": "x", "choices": [{"ind'),
    "no object": Script(body="[]"),
    "nothing": Script(body=""),
    "too short": Script(content_length=100_000),
    "reset in the body": Script(cut="reset", cut_after=20),
    "error in a 200": Script(body='{"error": {"message": "Overloaded.", "code": 503}}'),
}


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_garbled_answer_goes_on_elsewhere(client: httpx.Client, route: MakeRoute, script: Script) -> None:
    two = route("first", "second")
    two.script("first", script)
    assert ask(client, two.chat(), stream=False) == TEXT
    assert two.asked()["second"] == 1
    assert client.get("/health").status_code == 200


def test_an_error_in_a_200_is_taken_as_the_status_that_it_names(client: httpx.Client, route: MakeRoute) -> None:
    two = route("first", "second")
    two.script("first", Script(body='{"error": {"message": "Slow down.", "type": "rate_limit_error"}}'))
    assert ask(client, two.chat(), stream=False) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    two.backend_when("first", status="cooling")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x01\x02" * 1000,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 10**6,
    ],
    ids=["ssh", "binary", "status", "header"],
)
@BOTH
def test_a_backend_that_speaks_no_http_is_left(
    client: httpx.Client, route: MakeRoute, answer: bytes, stream: bool
) -> None:
    with blurting(answer) as port:
        two = route("first", "second", addresses={"first": f"http://127.0.0.1:{port}/v1"})
        assert ask(client, two.chat(), stream=stream) == TEXT


@contextmanager
def blurting(answer: bytes) -> Iterator[int]:
    """A port that says one thing to everybody who has said something."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                if connection.recv(65_536):
                    try:
                        connection.sendall(answer)
                    except OSError:
                        continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_an_honest_503_says_which_pools_were_tried_and_when_to_come_back(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(queue_timeout_seconds=0):
        two = route("first", "second")
        two.script("first", Script(status=429, headers={"retry-after": "60"}))
        two.script("second", Script(status=429, headers={"retry-after": "40"}))
        answer = client.post(CHAT, json=two.chat())
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (503, "AllPoolsExhausted", "all_pools_exhausted")
    assert "primary" in error["message"]
    assert "fallback" in error["message"]
    assert f"{two.model}-first is cooling down" in error["message"]
    assert 40 <= int(answer.headers["retry-after"]) <= 45
    assert two.asked() == {"first": 2, "second": 2}  # once more each by the emergency channel
    assert hub.record(two.model)["status"] == 503
    with hub.openai(client.headers["authorization"].split()[1]) as official, pytest.raises(openai.InternalServerError):
        official.chat.completions.create(model=two.model, messages=[])


def test_the_emergency_channel_is_the_last_throttled_try(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    with hub.settings(queue_timeout_seconds=0):
        one = route("only", fields={"only": {"rpm_limit": 1}})
        answers = [client.post(CHAT, json=one.chat()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert [record["emergency"] for record in hub.records(one.model, count=3)] == [0, 1, 0]


def test_the_emergency_channel_takes_the_exhausted_before_the_cooling_and_never_the_broken(
    hub: Hub, client: httpx.Client, route: MakeRoute
) -> None:
    with hub.settings(queue_timeout_seconds=0):
        three = route("cooling", "exhausted", "broken", fields={"exhausted": {"rpm_limit": 1}})
        three.script("cooling", Script(status=429, headers={"retry-after": "300"}), Script())
        three.script("broken", Script(status=401))
        assert ask(client, three.chat(), stream=False) == TEXT  # cooling cools, exhausted spends its token
        assert ask(client, three.chat(), stream=False) == TEXT  # broken breaks, the emergency channel serves
        three.backend_when("broken", status="error")
    assert three.asked() == {"cooling": 1, "exhausted": 2, "broken": 1}


def test_a_lone_backend_is_waited_for(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only")
    one.script("only", Script(status=429, headers={"retry-after-ms": "600"}), Script())
    assert ask(client, one.chat(), stream=False) == TEXT
    assert one.asked() == {"only": 2}
    record = hub.record(one.model)
    assert record["queue_wait_us"] >= 500_000
    assert not record["emergency"]


def test_a_backend_at_its_limit_is_waited_for_in_turn(hub: Hub, client: httpx.Client, route: MakeRoute) -> None:
    one = route("only", fields={"only": {"max_concurrency": 1}})
    one.script("only", Script(gate=one.model))
    with_threads = [threading.Thread(target=ask, args=(client, one.chat()), kwargs={"stream": False}) for _ in range(3)]
    for thread in with_threads:
        thread.start()
    one.wait_seen("only", lambda _: True)
    assert one.asked() == {"only": 1}
    one.standin.open_gate(one.model)
    for thread in with_threads:
        thread.join()
    assert one.asked() == {"only": 3}
    assert [record["status"] for record in hub.records(one.model, count=3)] == [200, 200, 200]
