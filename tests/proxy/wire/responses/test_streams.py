"""Reading streams of the Responses format that are handed on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.openai import Kind
from proxy.wire.responses.errors import response_error_event
from proxy.wire.responses.fields import Json
from proxy.wire.responses.streams import ResponsesReader
from proxy.wire.sse import data_of
from proxy.wire.usage import Usage
from tests.proxy.wire.responses import sdk


def said(kind: str, **members: object) -> bytes:
    return json.dumps({"type": kind, **members}).encode()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (said("response.created", response={"usage": None, "output": []}), Kind.QUIET),
        (said("response.in_progress", response={}), Kind.QUIET),
        (said("response.output_item.added", item={"type": "message"}), Kind.QUIET),
        (said("response.output_item.added", item={"type": "reasoning"}), Kind.QUIET),
        (said("response.output_item.added", item={"type": "function_call", "name": "f"}), Kind.CONTENT),
        (said("response.output_item.added", item={"type": "web_search_call"}), Kind.CONTENT),
        (said("response.output_item.done", item={"type": "function_call"}), Kind.QUIET),
        (said("response.output_item.added", item=3), Kind.QUIET),
        (said("response.content_part.added", part={"type": "output_text", "text": ""}), Kind.QUIET),
        (said("response.output_text.delta", delta=""), Kind.QUIET),
        (said("response.output_text.delta", delta="x"), Kind.CONTENT),
        (said("response.refusal.delta", delta="x"), Kind.CONTENT),
        (said("response.reasoning_summary_text.delta", delta="x"), Kind.CONTENT),
        (said("response.reasoning_text.delta", delta="x"), Kind.CONTENT),
        (said("response.function_call_arguments.delta", delta="{"), Kind.CONTENT),
        (said("response.something.new"), Kind.QUIET),
        (said("response.completed", response={"usage": {"input_tokens": 1}}), Kind.DONE),
        (said("response.completed", response="odd"), Kind.DONE),
        (said("response.incomplete", response={}), Kind.DONE),
        (said("response.failed", response={"error": {"code": "x"}}), Kind.ERROR),
        (said("error", message="x"), Kind.ERROR),
        (b'{"error":{"message":"x"}}', Kind.ERROR),
        (b"{}", Kind.QUIET),
        (b'{"type":3}', Kind.QUIET),
        (b"[DONE]", Kind.QUIET),
        (b"{oops", Kind.MALFORMED),
        (b"[]", Kind.MALFORMED),
        (b"\xff", Kind.MALFORMED),
        (b'{"delta":' + b"[" * 100_000, Kind.MALFORMED),
    ],
)
def test_the_kind_of_an_event(data: bytes, kind: Kind) -> None:
    assert ResponsesReader(1000).read(data) is kind


@pytest.mark.parametrize("end", ["response.completed", "response.incomplete"])
def test_the_last_event_ends_the_stream_and_has_the_usage(end: str) -> None:
    reader = ResponsesReader(1000)
    reader.read(said("response.output_item.added", item={"type": "function_call", "name": "look"}))
    reader.read(said("response.function_call_arguments.delta", delta="{}"))
    reader.read(said("response.output_text.delta", delta="hello"))
    assert (reader.finished, reader.usage) == (False, None)
    output = [{"type": "message", "content": [{"text": "hello" * 1000}]}]
    usage = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}
    assert reader.read(said(end, response={"output": output, "usage": usage})) is Kind.DONE
    assert reader.finished
    assert reader.usage == Usage(input_tokens=4, cache_read_tokens=1, output_tokens=2)
    assert (reader.text, reader.characters) == (["look", "{}", "hello"], 11)


def test_no_more_text_is_kept_than_was_asked_for() -> None:
    reader = ResponsesReader(5)
    for _ in range(10):
        reader.read(said("response.output_text.delta", delta="abc"))
    assert reader.text == ["abc", "abc"]


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert ResponsesReader(10).read(data) in Kind


def test_a_failure_is_an_event_with_its_number() -> None:
    event = response_error_event(message="gone", code="upstream", param=None, sequence_number=0)
    found: list[Json] = sdk.events(event)
    assert found == [{"type": "error", "code": "upstream", "message": "gone", "param": None, "sequence_number": 0}]
    data = data_of(event)
    assert data is not None
    assert ResponsesReader(10).read(data) is Kind.ERROR
