import asyncio
import socket
from collections.abc import Iterator

import pytest

from agenthub.core import dialling, outbound
from agenthub.core.outbound import fetch, reach
from agenthub.core.outbound_errors import (
    AddressRefused,
    AnswerInvalid,
    AnswerTooLarge,
    ConnectFailed,
    ConnectionRefused,
    DnsFailed,
    OutboundError,
    TimedOut,
    TlsNotSpoken,
)
from tests.upstream import Upstream, running_upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


def get(
    url: str, *, allow_private: bool = True, timeout_seconds: float = 5, max_bytes: int = 10_000
) -> outbound.Answer:
    return asyncio.run(
        fetch("GET", url, allow_private=allow_private, timeout_seconds=timeout_seconds, max_bytes=max_bytes)
    )


def test_it_brings_the_whole_answer(upstream: Upstream) -> None:
    upstream.status, upstream.body = 418, b"tea"
    answer = get(f"{upstream.url}/x")
    assert (answer.status, answer.body) == (418, b"tea")
    assert answer.latency_ms > 0


def test_the_host_header_is_the_name_and_not_the_address(upstream: Upstream) -> None:
    port = upstream.url.split(":")[2].split("/")[0]
    get(f"http://localhost:{port}/v1/models")
    assert upstream.seen[0]["headers"]["host"] == f"localhost:{port}"


def test_redirects_are_not_followed(upstream: Upstream) -> None:
    upstream.status, upstream.headers = 302, {"location": upstream.url}
    assert get(f"{upstream.url}/x").status == 302
    assert len(upstream.seen) == 1


def test_private_addresses_are_not_dialled_unless_allowed(upstream: Upstream) -> None:
    for url in (upstream.url, upstream.url.replace("127.0.0.1", "localhost")):
        with pytest.raises(AddressRefused):
            get(url, allow_private=False)
    assert upstream.seen == []


def test_what_a_name_means_is_judged_at_the_moment_of_dialling(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rebound(_host: str, _port: int | None) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(dialling, "resolve", rebound)
    with pytest.raises(AddressRefused):
        get(upstream.url.replace("127.0.0.1", "public.example"), allow_private=False)


def test_the_next_address_is_tried_when_one_takes_no_connection(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(_host: str, _port: int | None) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    monkeypatch.setattr(dialling, "resolve", two)
    assert get(upstream.url).status == 200


def test_an_answer_that_is_too_large_is_not_taken(upstream: Upstream) -> None:
    upstream.body = b"x" * 10_001
    with pytest.raises(AnswerTooLarge):
        get(upstream.url)


def test_silence_ends_at_its_time(upstream: Upstream) -> None:
    upstream.hangs = True
    with pytest.raises(TimedOut):
        get(upstream.url, timeout_seconds=0.2)


def test_a_broken_off_answer_is_invalid(upstream: Upstream) -> None:
    upstream.headers = {"content-length": "1000"}
    with pytest.raises(AnswerInvalid):
        get(upstream.url)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/v1", ConnectionRefused),
        ("http://name.invalid/v1", DnsFailed),
        ("http://0.0.0.0/v1", AddressRefused),
        ("http://[::1", ConnectFailed),
    ],
)
def test_each_trouble_has_its_name(url: str, error: type[OutboundError]) -> None:
    with pytest.raises(error):
        get(url)
    with pytest.raises(error):
        asyncio.run(reach(url, allow_private=True, timeout_seconds=5))


def test_a_server_without_tls_is_told_apart(upstream: Upstream) -> None:
    url = upstream.url.replace("http:", "https:")
    with pytest.raises(TlsNotSpoken):
        get(url)
    with pytest.raises(TlsNotSpoken):
        asyncio.run(reach(url, allow_private=True, timeout_seconds=5))


def test_reaching_sends_no_request(upstream: Upstream) -> None:
    asyncio.run(reach(upstream.url, allow_private=True, timeout_seconds=5))
    assert upstream.seen == []


def test_an_error_shows_neither_path_nor_query() -> None:
    with pytest.raises(ConnectFailed) as failure:
        get("http://127.0.0.1:1/secret-path?key=secret-query")
    assert "secret" not in str(failure.value)


def test_nothing_listens_on_the_port_that_refuses() -> None:
    # Guards the tests above: nothing listens on port 1 of this machine.
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 1)) != 0
