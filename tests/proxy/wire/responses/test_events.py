"""Chat streams, turned into the events of the Responses format."""

from openai.types.responses import Response

from proxy.wire.responses.answers import chat_from_response
from proxy.wire.responses.events import ResponseEvents
from proxy.wire.responses.fields import Json
from tests.proxy.wire.responses import sdk

REQUEST: Json = {"model": "asked", "input": "hi", "tools": [{"type": "function", "name": "f", "parameters": None}]}


def chunk(finish_reason: str | None = None, **delta: object) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "chatcmpl-abc", "model": "m", "choices": [choice]}


def call(index: int | None, call_id: str | None = None, name: str | None = None, arguments: str = "") -> Json:
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def stream(*chunks: Json) -> bytes:
    events = ResponseEvents(request=REQUEST, created=1700000000, fallback_model="fallback")
    return b"".join(events.chunk(each) for each in chunks) + events.end()


def types(found: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in sdk.events(found)]


def calls_of(response: Response) -> list[tuple[str, str, str]]:
    return [(item.call_id, item.name, item.arguments) for item in response.output if item.type == "function_call"]


def test_a_plain_answer() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    found = stream(chunk(role="assistant", content=""), chunk(content="he"), chunk(content="llo"), chunk("stop"), usage)
    assert types(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    last = sdk.accumulated(found)
    assert (last.id, last.model, last.status, last.output_text) == ("resp_abc", "m", "completed", "hello")
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (3, 2)
    assert sdk.events(found)[0]["response"]["status"] == "in_progress"


def test_thoughts_come_first_and_end_when_words_begin() -> None:
    found = stream(chunk(reasoning_content="h"), chunk(reasoning_content="m"), chunk(content="ok"), chunk("stop"))
    assert types(found)[2:10] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
    ]
    thoughts, words = sdk.accumulated(found).output
    assert thoughts.type == "reasoning"
    assert [part.text for part in thoughts.summary] == ["hm"]
    assert words.type == "message"


def test_calls_side_by_side() -> None:
    found = stream(
        chunk(content="let me look"),
        chunk(tool_calls=[call(0, "c1", "f"), call(1, "c2", "g", "{")]),
        chunk(tool_calls=[call(1, arguments='"b":2')]),
        chunk(tool_calls=[call(0, arguments='{"a":1}'), call(1, arguments="}")]),
        chunk("tool_calls"),
    )
    last = sdk.accumulated(found)
    assert calls_of(last) == [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}')]
    assert last.output_text == "let me look"
    deltas = [e for e in sdk.events(found) if e["type"] == "response.function_call_arguments.delta"]
    assert [(e["output_index"], e["delta"]) for e in deltas] == [(2, "{"), (2, '"b":2'), (1, '{"a":1}'), (2, "}")]


def test_calls_of_providers_that_number_them_badly() -> None:
    without = stream(
        chunk(tool_calls=[call(None, "c1", "f", "{}")]), chunk(tool_calls=[call(None, "c2", "g", '{"a"')]),
        chunk(tool_calls=[call(None, None, None, ":1}"), call(None, "c1", None, " ")]),
    )  # fmt: skip
    assert calls_of(sdk.accumulated(without)) == [("c1", "f", "{} "), ("c2", "g", '{"a":1}')]
    the_same = stream(chunk(tool_calls=[call(0, "c1", "f", "{}"), call(0, "c2", "g", "{}")]))
    assert calls_of(sdk.accumulated(the_same)) == [("c1", "f", "{}"), ("c2", "g", "{}")]
    repeated = stream(chunk(tool_calls=[call(0, "c1", "f", "{")]), chunk(tool_calls=[call(0, "c1", "f", "}")]))
    assert calls_of(sdk.accumulated(repeated)) == [("c1", "f", "{}")]


def test_a_call_whose_name_comes_late_loses_nothing() -> None:
    late = stream(chunk(tool_calls=[call(0, "c1", None, "{")]), chunk(tool_calls=[call(0, None, "f", "}")]))
    assert calls_of(sdk.accumulated(late)) == [("c1", "f", "{}")]
    never = stream(chunk(tool_calls=[call(0, None, None, "{}")]), chunk(tool_calls=[{}]))
    assert calls_of(sdk.accumulated(never)) == [("call_abc_0", "", "{}")]


def test_the_older_way_to_call() -> None:
    found = stream(
        chunk(function_call={"name": "f", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}),
        chunk("function_call"),
    )
    assert calls_of(sdk.accumulated(found)) == [("call_abc_0", "f", "{}")]


def test_words_and_refusal_are_parts_of_one_message() -> None:
    found = stream(chunk(content="well"), chunk(refusal="n"), chunk(refusal="o"), chunk("stop"))
    (item,) = sdk.accumulated(found).output
    assert item.type == "message"
    assert [part.to_dict() for part in item.content] == [
        {"type": "output_text", "text": "well", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ]


def test_words_after_a_call_are_a_message_of_their_own() -> None:
    found = stream(chunk(content="a"), chunk(tool_calls=[call(0, "c", "f")]), chunk(content="b"), chunk("stop"))
    assert [item.type for item in sdk.accumulated(found).output] == ["message", "function_call", "message"]


def test_what_was_cut_off_is_incomplete() -> None:
    found = stream(chunk(content="he"), chunk("length"))
    last = sdk.events(found)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item.to_dict()["status"] for item in sdk.response(last["response"]).output] == ["incomplete"]


def test_only_the_first_choice_counts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}, {"delta": {"content": "yes"}}]}
    assert sdk.accumulated(stream(other)).output_text == "yes"


def test_an_empty_stream_is_an_empty_response() -> None:
    last = sdk.accumulated(stream())
    assert (last.id, last.model, last.output, last.usage) == ("resp_1700000000", "fallback", [], None)


def test_the_number_of_the_next_event_is_known() -> None:
    events = ResponseEvents(request=REQUEST, created=1, fallback_model="m")
    found = events.chunk(chunk(content="x"))
    assert events.sequence_number == len(sdk.events(found)) == 5


def test_a_response_says_what_its_chunks_said() -> None:
    found = stream(
        chunk(reasoning="why"), chunk(content="w"), chunk(tool_calls=[call(0, "c", "f", "{}")]), chunk("tool_calls")
    )
    choice = chat_from_response(sdk.events(found)[-1]["response"], created=1)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "w",
        "refusal": None,
        "reasoning_content": "why",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
