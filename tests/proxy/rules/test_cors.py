"""Which origins there are, and what pages of them are told."""

import pytest

from proxy.rules.cors import allowed_origins, answer_headers, preflight_headers

APP = b"https://app.example.com"


def test_the_setting_is_none_any_or_a_list() -> None:
    assert allowed_origins("none") == frozenset()
    assert allowed_origins("*") == {b"*"}
    assert allowed_origins("https://A.example.com, http://b:81") == {b"https://a.example.com", b"http://b:81"}


@pytest.mark.parametrize("setting", ["app.example.com", "https://a/path", "none, https://a", "ftp://a", "https://"])
def test_what_is_no_origin_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="must list origins"):
        allowed_origins(setting)


def test_nobody_is_told_anything_while_no_origin_is_allowed() -> None:
    assert answer_headers(APP, frozenset()) == []
    assert preflight_headers(APP, b"x-y", ["POST"], frozenset()) == [(b"allow", b"POST, OPTIONS")]


def test_any_origin_is_named_as_it_came() -> None:
    assert dict(answer_headers(b"https://Other.example", frozenset({b"*"})))[b"access-control-allow-origin"] == (
        b"https://Other.example"
    )


def test_header_names_that_are_none_are_not_repeated() -> None:
    headers = dict(preflight_headers(APP, b"x-y\x00evil", ["POST"], frozenset({APP})))
    assert b"access-control-allow-headers" not in headers
