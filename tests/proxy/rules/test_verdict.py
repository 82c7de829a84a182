"""The failure table, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.verdict import Blame, Next, judge, status_named_by


@pytest.mark.parametrize(
    ("status", "body", "next_step", "blame"),
    [
        (200, b"", Next.ANSWER, Blame.SUCCESS),
        (201, b"", Next.ANSWER, Blame.SUCCESS),
        (429, b"", Next.NEXT, Blame.RATE_LIMITED),
        (429, b'{"error":{"code":"rate_limit_exceeded"}}', Next.NEXT, Blame.RATE_LIMITED),
        (429, b'{"error":{"code":"insufficient_quota"}}', Next.NEXT, Blame.QUOTA),
        (429, b'{"error":{"message":"Check your billing details"}}', Next.NEXT, Blame.QUOTA),
        (402, b"", Next.NEXT, Blame.QUOTA),
        (401, b"", Next.NEXT_NEVER_SAME, Blame.CREDENTIALS),
        (403, b"", Next.NEXT_NEVER_SAME, Blame.CREDENTIALS),
        (403, b'{"error":{"code":"content_filter"}}', Next.PASS_BACK, Blame.NONE),
        (404, b'{"error":{"message":"The model x does not exist"}}', Next.NEXT_NEVER_SAME, Blame.MAPPING),
        (
            404,
            b'{"type":"error","error":{"type":"not_found_error","message":"model: x"}}',
            Next.NEXT_NEVER_SAME,
            Blame.MAPPING,
        ),
        (404, b'{"error":{"code":"DeploymentNotFound"}}', Next.NEXT_NEVER_SAME, Blame.MAPPING),
        (404, b'{"error":{"message":"No endpoints found for x"}}', Next.NEXT_NEVER_SAME, Blame.MAPPING),
        (404, b"<html>not here</html>", Next.NEXT_NEVER_SAME, Blame.FAILURE),
        (500, b"", Next.RETRY_SAME, Blame.FAILURE),
        (503, b"", Next.RETRY_SAME, Blame.FAILURE),
        (529, b"", Next.RETRY_SAME, Blame.FAILURE),
        (408, b"", Next.NEXT_NEVER_SAME, Blame.FAILURE),
        (400, b'{"error":{"message":"bad"}}', Next.PASS_BACK, Blame.NONE),
        (413, b"", Next.PASS_BACK, Blame.NONE),
        (422, b"", Next.PASS_BACK, Blame.NONE),
        (409, b"", Next.PASS_BACK, Blame.NONE),
        (400, b'{"error":{"code":"context_length_exceeded"}}', Next.LARGER_CONTEXT, Blame.NONE),
        (400, b'{"error":{"message":"prompt is too long: 9 tokens > 8"}}', Next.LARGER_CONTEXT, Blame.NONE),
        (400, b'{"error":{"message":"The input token count exceeds the maximum"}}', Next.LARGER_CONTEXT, Blame.NONE),
        (400, b'{"error":{"message":"exceeds the available context size"}}', Next.LARGER_CONTEXT, Blame.NONE),
        (413, b'{"error":{"code":"context_length_exceeded"}}', Next.LARGER_CONTEXT, Blame.NONE),
        (400, b'{"error":{"message":"Your credit balance is too low"}}', Next.NEXT, Blame.QUOTA),
        (400, b'{"error":{"code":"content_filter"}}', Next.PASS_BACK, Blame.NONE),
        (302, b"", Next.NEXT_NEVER_SAME, Blame.FAILURE),
    ],
)
def test_a_row_of_the_failure_table(status: int, body: bytes, next_step: Next, blame: Blame) -> None:
    verdict = judge(status, body)
    assert (verdict.next, verdict.blame) == (next_step, blame)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"code":429}}', 429),
        (b'{"error":{"code":"503"}}', 503),
        (b'{"error":{"type":"rate_limit_error"}}', 429),
        (b'{"error":{"type":"overloaded_error"}}', 529),
        (b'{"error":{"code":"insufficient_quota","type":"rate_limit"}}', 429),
        (b'{"error":{"code":"context_length_exceeded"}}', 400),
        (b'{"error":"boom"}', 500),
        (b'{"error":{"code":200}}', 500),
        (b"no json", 500),
    ],
)
def test_an_error_inside_a_200_names_its_status(body: bytes, status: int) -> None:
    assert status_named_by(body) == status


@given(status=st.integers(100, 599), body=st.binary(max_size=300))
def test_every_answer_has_a_verdict(status: int, body: bytes) -> None:
    assert (judge(status, body).next is Next.ANSWER) == (status < 300)
