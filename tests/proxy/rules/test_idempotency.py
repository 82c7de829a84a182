"""Which keys, which requests, which answers."""

import pytest

from agenthub.core.errors import BadRequest
from proxy.rules.idempotency import entry_name, may_repeat, request_fingerprint


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\nb", "a\x7f", "\t", "a\udc80"])
def test_what_can_not_be_a_key_is_refused(key: str) -> None:
    with pytest.raises(BadRequest, match="1 to 255 printable ASCII"):
        entry_name("key_1", key)


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5"', "a b"])
def test_all_else_is_a_key(key: str) -> None:
    assert len(entry_name("key_1", key)) == 32


def test_callers_have_keys_of_their_own() -> None:
    names = {entry_name(caller, key) for caller, key in [("a", "bc"), ("ab", "c"), ("", "abc"), ("a", "c")]}
    assert len(names) == 4


def test_requests_are_told_apart_by_endpoint_and_body() -> None:
    pairs = [("completions", b"{}"), ("chat/completions", b"{}"), ("completions", b"{ }"), ("completion", b"s{}")]
    assert len({request_fingerprint(endpoint, body) for endpoint, body in pairs}) == len(pairs)
    assert request_fingerprint("completions", b"{}") == request_fingerprint("completions", b"{}")


def test_only_what_settles_a_request_is_repeated() -> None:
    settled = [
        status
        for status in (0, 101, 200, 201, 204, 301, 400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 499, 500, 503)
        if may_repeat(status)
    ]
    assert settled == [200, 201, 204, 400, 404, 413, 422, 499]
