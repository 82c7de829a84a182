"""Error bodies of the Messages format, and between it and OpenAI's."""

import json

import pytest

from proxy.wire.anthropic.errors import (
    message_error,
    message_error_event,
    message_error_from_openai_error,
    openai_error_from_message_error,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_the_type_follows_from_the_status(status: int, kind: str) -> None:
    body = json.loads(message_error(status=status, message="no", code=None, request_id="r1"))
    assert body == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "r1"}


def test_the_last_event_of_a_stream() -> None:
    event = message_error_event(status=503, message="a\nb", code="all_pools_exhausted", request_id="r1")
    assert event.startswith(b'event: error\ndata: {"type":"error"')
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 3
    assert b'"code":"all_pools_exhausted"' in event


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"x"}',
            {"message": "Overloaded", "type": "overloaded_error", "code": None},
        ),
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}',
            {"message": "slow", "type": "rate_limit_error", "code": "rate_limit_exceeded"},
        ),
        (
            b'{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}',
            {
                "message": "prompt is too long: 9 tokens > 8 maximum",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            },
        ),
        (b'{"detail":"gone"}', {"message": "gone", "type": "api_error", "code": None}),
        (b"<html>", {"message": "<html>", "type": "api_error", "code": None}),
        (b"", {"message": "The provider gave no reason.", "type": "api_error", "code": None}),
    ],
)
def test_an_error_as_openai_writes_it(body: bytes, error: dict[str, object]) -> None:
    assert json.loads(openai_error_from_message_error(body)) == {"error": {**error, "param": None}}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"bad","type":"x","param":"n","code":"c"}}', {"message": "bad", "code": "c"}),
        (b'{"error":{"message":"bad","code":400}}', {"message": "bad"}),
        (b'{"error":"bad"}', {"message": "bad"}),
        (
            b'{"error":{"message":"9 > 8","code":"context_length_exceeded"}}',
            {"message": "prompt is too long: 9 > 8", "code": "context_length_exceeded"},
        ),
        (b"\xff", {"message": "\ufffd"}),
    ],
)
def test_an_error_of_openai_as_the_messages_format_writes_it(body: bytes, error: dict[str, object]) -> None:
    found = json.loads(message_error_from_openai_error(body, status=400, request_id="r1"))
    assert found == {"type": "error", "error": {"type": "invalid_request_error", **error}, "request_id": "r1"}


def test_a_body_without_end_is_cut() -> None:
    for body in (b"x" * 1_000_000, json.dumps({"error": {"message": "x" * 1_000_000}}).encode()):
        assert len(openai_error_from_message_error(body)) < 3000
        assert len(message_error_from_openai_error(body, status=500, request_id="r")) < 3000
