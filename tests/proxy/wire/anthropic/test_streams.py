"""Streams: reading events on their way through, chunks as events, and events as chunks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.anthropic.chunks import ChunksFromMessages
from proxy.wire.anthropic.events import MessageEvents
from proxy.wire.anthropic.reader import MessagesReader
from proxy.wire.openai import Kind, StreamReader
from proxy.wire.sse import EventSplitter, data_of
from proxy.wire.usage import Usage

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}},
}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}


def begin(index: int = 0, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int = 0, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": members}


def stop(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (START, Kind.QUIET),
        ({"type": "ping"}, Kind.QUIET),
        ({"type": "brand_new"}, Kind.QUIET),
        ({}, Kind.QUIET),
        (begin(type="text", text=""), Kind.QUIET),
        (begin(type="thinking", thinking="", signature=""), Kind.QUIET),
        (begin(type="text", text="x"), Kind.CONTENT),
        (begin(type="tool_use", id="t", name="f", input={}), Kind.CONTENT),
        (begin(type="redacted_thinking", data="x"), Kind.CONTENT),
        (delta(type="text_delta", text=""), Kind.QUIET),
        (delta(type="signature_delta", signature="x"), Kind.QUIET),
        (delta(type="text_delta", text="x"), Kind.CONTENT),
        (delta(type="thinking_delta", thinking="x"), Kind.CONTENT),
        (delta(type="input_json_delta", partial_json="{"), Kind.CONTENT),
        (stop(), Kind.QUIET),
        ({"type": "message_delta", "delta": {"stop_reason": None}}, Kind.QUIET),
        (STOP, Kind.CONTENT),
        ({"type": "message_stop"}, Kind.DONE),
        ({"type": "error", "error": {"type": "overloaded_error"}}, Kind.ERROR),
        ({"type": "error"}, Kind.ERROR),
        ({"error": {"message": "x"}}, Kind.ERROR),
        ({"type": "error", "delta": 5}, Kind.ERROR),
        ({"type": "content_block_delta", "delta": 5}, Kind.CONTENT),
        ([], Kind.MALFORMED),
    ],
)
def test_the_kind_of_an_event(event: Any, kind: Kind) -> None:
    assert MessagesReader(1000).read(json.dumps(event).encode()) is kind


@pytest.mark.parametrize(
    ("data", "kind"), [(b"{oops", Kind.MALFORMED), (b"\xff", Kind.MALFORMED), (b"[DONE]", Kind.DONE)]
)
def test_the_kind_of_what_is_no_json(data: bytes, kind: Kind) -> None:
    assert MessagesReader(1000).read(data) is kind


def test_the_reader_adds_up_what_it_sees() -> None:
    reader = MessagesReader(7)
    events = [
        START,
        begin(type="text", text=""),
        delta(text="hello"),
        begin(1, type="tool_use", name="f"),
        delta(1, partial_json="{}"),
        delta(text="more"),
    ]
    for event in events:
        reader.read(json.dumps(event).encode())
    seen = [(reader.finished, reader.usage)]
    reader.read(json.dumps(STOP).encode())
    seen.append((reader.finished, reader.usage))
    assert seen == [
        (False, Usage(input_tokens=9, output_tokens=1)),
        (True, Usage(input_tokens=9, output_tokens=5)),
    ]
    assert (reader.text, reader.characters) == (["hello", "f", "{}"], 8)


def chunk(reason: str | None = None, **found: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": found, "finish_reason": reason}]}


def call(index: int | None, arguments: str = "", **members: Any) -> dict[str, Any]:
    name = {"name": members.pop("name")} if "name" in members else {}
    return {"index": index, "function": {**name, "arguments": arguments}, **members}


def events_of(*chunks: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a whole stream, each as its data, which must agree with its name."""
    maker = MessageEvents(fallback_model="fb", input_tokens=42)
    return parsed(b"".join([*(maker.chunk(each) for each in chunks), maker.end()]))


def parsed(written: bytes) -> list[dict[str, Any]]:
    found = []
    for event in EventSplitter(1_000_000).feed(written):
        data = json.loads(data_of(event) or b"")
        assert event.startswith(f"event: {data['type']}\n".encode())
        found.append(data)
    return found


def blocks_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks put together as a client does it, which must be open one at a time and in order."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "said": ""})
            is_open = True
        elif event["type"] == "content_block_delta":
            assert is_open
            assert event["index"] == len(blocks) - 1
            found = event["delta"]
            blocks[-1]["said"] += found.get("text") or found.get("thinking") or found.get("partial_json")
        elif event["type"] == "content_block_stop":
            assert is_open
            assert event["index"] == len(blocks) - 1
            is_open = False
    assert not is_open
    return blocks


def test_a_whole_stream_as_events() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}
    events = events_of(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="hm"),
        chunk(content="hel"),
        chunk(content="lo"),
        chunk(tool_calls=[call(0, id="c0", name="f")]),
        chunk(tool_calls=[call(0, '{"x"')]),
        chunk(tool_calls=[call(0, ":1}")]),
        chunk(tool_calls=[call(1, "{}", id="c1", name="g")]),
        chunk("tool_calls"),
        {"choices": [], "usage": usage},
    )
    message = events[0]["message"]
    assert (message["id"], message["model"], message["usage"]["input_tokens"]) == ("msg_1", "m", 42)
    assert [(block["type"], block["said"]) for block in blocks_of(events)] == [
        ("thinking", "hm"),
        ("text", "hello"),
        ("tool_use", '{"x":1}'),
        ("tool_use", "{}"),
    ]
    assert [(block["id"], block["name"], block["input"]) for block in blocks_of(events)[2:]] == [
        ("c0", "f", {}),
        ("c1", "g", {}),
    ]
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3,
            "output_tokens": 4,
        },
    }
    assert events[-1] == {"type": "message_stop"}


def test_content_goes_out_as_it_comes() -> None:
    maker = MessageEvents(fallback_model="fb", input_tokens=1)
    assert [event["type"] for event in parsed(maker.chunk(chunk(role="assistant")))] == ["message_start"]
    assert len(parsed(maker.chunk(chunk(content="a")))) == 2
    assert parsed(maker.chunk(chunk(content="b"))) == [delta(type="text_delta", text="b")]
    assert maker.chunk(chunk("stop")) == b""
    assert len(parsed(maker.chunk(chunk(tool_calls=[call(0, "{", id="c", name="f")])))) == 3
    assert parsed(maker.chunk(chunk(tool_calls=[call(0, "}")]))) == [
        delta(1, type="input_json_delta", partial_json="}")
    ]
    assert maker.end() != b""
    assert (maker.end(), maker.chunk(chunk(content="late"))) == (b"", b"")


def test_a_stream_of_nothing_is_still_a_message() -> None:
    events = events_of()
    assert [event["type"] for event in events] == ["message_start", "message_delta", "message_stop"]
    assert events[0]["message"]["model"] == "fb"
    assert events[1]["usage"]["input_tokens"] == 42


def test_an_estimate_stands_in_for_usage_that_never_came() -> None:
    maker = MessageEvents(fallback_model="fb", input_tokens=1)
    assert parsed(maker.end(estimate=Usage(input_tokens=3, output_tokens=8)))[1]["usage"]["output_tokens"] == 8


def test_the_second_of_two_choices_is_not_told() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    events = events_of(chunk("stop", content="yes"), other)
    assert ([block["said"] for block in blocks_of(events)], events[-2]["delta"]["stop_reason"]) == (["yes"], "end_turn")


def test_a_refusal_is_text_and_text_after_a_call_is_a_block_of_its_own() -> None:
    events = events_of(
        chunk(refusal="no"),
        chunk(tool_calls=[call(0, "{", id="c", name="f")]),
        chunk(content="by the "),
        chunk(tool_calls=[call(0, "}")]),
        chunk(content="way"),
    )
    assert [block["said"] for block in blocks_of(events)] == ["no", "{}", "by the way"]


def test_calls_of_backends_that_count_their_own_way() -> None:
    same_index = events_of(
        chunk(tool_calls=[call(0, "{}", id="a", name="f")]), chunk(tool_calls=[call(0, "{}", id="b", name="g")])
    )
    no_index = events_of(chunk(tool_calls=[call(None, "{}", id="a", name="f"), call(None, "{}", id="b", name="g")]))
    for events in (same_index, no_index):
        assert [(block["id"], block["name"], block["said"]) for block in blocks_of(events)] == [
            ("a", "f", "{}"),
            ("b", "g", "{}"),
        ]
    changing_id = events_of(
        chunk(tool_calls=[call(0, "{", id="a", name="f")]), chunk(tool_calls=[call(0, "}", id="z")])
    )
    assert [block["said"] for block in blocks_of(changing_id)] == ["{}"]
    older = events_of(
        chunk(function_call={"name": "f", "arguments": "{"}), chunk("function_call", function_call={"arguments": "}"})
    )
    assert [(block["id"], block["said"]) for block in blocks_of(older)] == [("toolu_1_0", "{}")]
    late_name = events_of(chunk(tool_calls=[call(0, "{", id="a")]), chunk(tool_calls=[call(0, "}", name="f")]))
    assert [(block["name"], block["said"]) for block in blocks_of(late_name)] == [("f", "{}")]


arguments = st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers(), max_size=3).map(json.dumps)


@given(st.lists(arguments, min_size=1, max_size=4), st.data())
def test_parallel_calls_lose_nothing_however_they_are_interleaved(
    given_arguments: list[str], data: st.DataObject
) -> None:
    chunks = []
    left = dict(enumerate(given_arguments))
    while left:
        index = data.draw(st.sampled_from(sorted(left)))
        size = data.draw(st.integers(1, len(left[index])))
        piece, left[index] = left[index][:size], left[index][size:]
        chunks.append(chunk(tool_calls=[call(index, piece, id=f"c{index}", name=f"f{index}")]))
        if not left[index]:
            del left[index]
    found = {block["id"]: (block["name"], block["said"]) for block in blocks_of(events_of(*chunks))}
    assert found == {f"c{index}": (f"f{index}", said) for index, said in enumerate(given_arguments)}


def chunks_of(*events: dict[str, Any]) -> list[dict[str, Any]]:
    maker = ChunksFromMessages(created=5)
    return [made for event in events for made in maker.event(event)]


def test_a_whole_stream_as_chunks() -> None:
    chunks = chunks_of(
        START,
        {"type": "ping"},
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        stop(0),
        begin(1, type="text", text=""),
        delta(1, type="text_delta", text="hi"),
        stop(1),
        begin(2, type="tool_use", id="t1", name="f", input={}),
        delta(2, type="input_json_delta", partial_json=""),
        delta(2, type="input_json_delta", partial_json='{"x":1}'),
        stop(2),
        begin(3, type="tool_use", id="t2", name="g", input={}),
        stop(3),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    assert {(made["id"], made["model"], made["created"], made["object"]) for made in chunks} == {
        ("chatcmpl-1", "m", 5, "chat.completion.chunk")
    }
    assert [made["choices"][0]["delta"] for made in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "hi"},
        {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
        {"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [made["choices"][0]["finish_reason"] for made in chunks[:-1]] == [None] * 7 + ["tool_calls"]
    assert chunks[-1]["choices"] == []
    assert (chunks[-1]["usage"]["prompt_tokens"], chunks[-1]["usage"]["completion_tokens"]) == (9, 5)


def test_an_error_makes_no_chunk_and_a_stream_without_a_start_has_its_role() -> None:
    assert chunks_of({"type": "error", "error": {"type": "api_error"}}) == []
    assert [made["choices"][0]["delta"] for made in chunks_of(delta(text="x"))] == [
        {"role": "assistant", "content": ""},
        {"content": "x"},
    ]


said = st.lists(
    st.tuples(st.sampled_from(["content", "reasoning_content", "call"]), st.text(min_size=1, max_size=5)), max_size=6
)


@given(said, st.data())
def test_a_stream_comes_back_as_it_went_wherever_it_is_cut(pieces: list[tuple[str, str]], data: st.DataObject) -> None:
    chunks, called = [chunk(role="assistant")], 0
    for kind, text in pieces:
        if kind == "call":
            arguments = json.dumps({"x": text})
            chunks += [
                chunk(tool_calls=[call(called, id=f"c{called}", name="f")]),
                chunk(tool_calls=[call(called, arguments)]),
            ]
            called += 1
        else:
            chunks.append(chunk(**{kind: text}))
    reason = "tool_calls" if called else "length"
    chunks += [chunk(reason), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]
    maker = MessageEvents(fallback_model="fb", input_tokens=1)
    written = b"".join([*(maker.chunk(each) for each in chunks), maker.end()])
    cut = data.draw(st.integers(0, len(written)))
    splitter, reader, back = EventSplitter(1_000_000), MessagesReader(1000), ChunksFromMessages(created=1)
    checked = StreamReader(1000)
    found: dict[str, str] = {"content": "", "reasoning_content": ""}
    given_calls: dict[int, str] = {}
    for event in [*splitter.feed(written[:cut]), *splitter.feed(written[cut:])]:
        read = data_of(event) or b""
        reader.read(read)
        for made in back.event(json.loads(read)):
            assert checked.read(json.dumps(made).encode()) is not Kind.MALFORMED
            for choice in made["choices"]:
                for kind in found:
                    found[kind] += choice["delta"].get(kind, "")
                for each in choice["delta"].get("tool_calls", []):
                    index = each["index"]
                    given_calls[index] = given_calls.get(index, "") + each["function"]["arguments"]
    for kind, whole in found.items():
        assert whole == "".join(text for each, text in pieces if each == kind)
    assert [json.loads(each)["x"] for each in given_calls.values()] == [text for kind, text in pieces if kind == "call"]
    assert checked.finished
    assert reader.finished
    assert checked.usage == reader.usage == Usage(input_tokens=3, output_tokens=2)
