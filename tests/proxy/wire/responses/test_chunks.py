"""The events of a Responses stream, turned into the chunks of a chat completion."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from proxy.wire.responses.chunks import ChunksFromResponses
from proxy.wire.responses.fields import Json

CREATED: Json = {"type": "response.created", "response": {"id": "resp_abc", "model": "m"}}
COMPLETED: Json = {
    "type": "response.completed",
    "response": {
        "status": "completed",
        "output": [],
        "usage": {"input_tokens": 3, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}},
    },
}


def said(kind: str, output_index: int | None = 0, **members: object) -> Json:
    return {"type": f"response.{kind}", "output_index": output_index, **members}


def call(kind: str, output_index: int, call_id: str, name: str, arguments: str = "") -> Json:
    item = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments}
    return said(f"output_item.{kind}", output_index, item=item)


def chunks(*events: Json) -> list[Json]:
    reader = ChunksFromResponses(created=7)
    found = [chunk for event in events for chunk in reader.event(event)]
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk)
        assert (chunk["id"], chunk["created"], chunk["model"]) == ("chatcmpl-abc", 7, "m")
    return found


def deltas(*events: Json) -> list[Json]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(CREATED, *events)[1:] if chunk["choices"]]


def joined(*events: Json) -> dict[str, Any]:
    """What a client puts together of the deltas."""
    found: dict[str, Any] = {}
    for delta in deltas(*events):
        for member, value in delta.items():
            if member != "tool_calls":
                found[member] = found.get(member, "") + value
                continue
            for each in value:
                known = found.setdefault("tool_calls", {}).setdefault(each["index"], [each.get("id"), "", ""])
                known[1] += each["function"].get("name", "")
                known[2] += each["function"].get("arguments", "")
    return found


def test_a_plain_answer() -> None:
    found = chunks(
        CREATED,
        {"type": "response.in_progress", "response": {}},
        said("output_item.added", item={"type": "message"}),
        said("content_part.added"),
        said("output_text.delta", content_index=0, delta="he", item_id="x"),
        said("output_text.delta", content_index=0, delta="llo", item_id="other"),
        said("output_text.done", content_index=0, text="hello", item_id="another"),
        COMPLETED,
    )
    assert [chunk["choices"][0] for chunk in found[:-1]] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": "he"}, "finish_reason": None},
        {"index": 0, "delta": {"content": "llo"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["prompt_tokens"] == 3
    assert found[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


@pytest.mark.parametrize(
    ("event", "delta"),
    [
        (said("refusal.delta", delta="no"), {"refusal": "no"}),
        (said("refusal.done", refusal="no"), {"refusal": "no"}),
        (said("output_text.done", text="all at once"), {"content": "all at once"}),
        (said("reasoning_summary_text.delta", delta="hm"), {"reasoning_content": "hm"}),
        (said("reasoning_text.delta", delta="hm"), {"reasoning_content": "hm"}),
        (said("reasoning_text.done", text="hm"), {"reasoning_content": "hm"}),
    ],
)
def test_a_piece_becomes_a_delta(event: Json, delta: Json) -> None:
    assert deltas(event) == [delta]


def test_parts_of_a_summary_are_kept_apart() -> None:
    assert joined(
        said("reasoning_summary_text.delta", summary_index=0, delta="a"),
        said("reasoning_summary_text.delta", summary_index=0, delta="b"),
        said("reasoning_summary_text.delta", summary_index=1, delta="c"),
        said("reasoning_summary_text.done", summary_index=1, text="c"),
    ) == {"reasoning_content": "ab\n\nc"}


def test_calls_side_by_side() -> None:
    events = (
        call("added", 1, "c1", "f"),
        call("added", 2, "c2", "g"),
        said("function_call_arguments.delta", 2, delta="{"),
        said("function_call_arguments.delta", 1, delta='{"a":1}'),
        said("function_call_arguments.delta", 2, delta="}"),
        said("function_call_arguments.done", 1, arguments='{"a":1}'),
        call("done", 1, "c1", "f", '{"a":1}'),
        call("done", 2, "c2", "g", "{}"),
        COMPLETED,
    )
    assert joined(*events)["tool_calls"] == {0: ["c1", "f", '{"a":1}'], 1: ["c2", "g", "{}"]}
    assert chunks(CREATED, *events)[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "events",
    [
        (
            call("added", 0, "c", "f"),
            said("function_call_arguments.done", arguments="{}"),
            call("done", 0, "c", "f", "{}"),
        ),
        (call("added", 0, "c", "f"), call("done", 0, "c", "f", "{}")),
        (call("done", 0, "c", "f", "{}"),),
        ({"type": "response.completed", "response": {"output": [call("done", 0, "c", "f", "{}")["item"]]}},),
    ],
)
def test_arguments_that_come_late_come_once(events: tuple[Json, ...]) -> None:
    assert joined(*events)["tool_calls"] == {0: ["c", "f", "{}"]}


def test_servers_that_tell_all_at_the_end() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]
    assert deltas({"type": "response.completed", "response": {"output": output}}) == [{"content": "hello"}, {}]


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "length"), (None, "length")],
)
def test_what_was_cut_off_says_so(reason: str | None, finish_reason: str) -> None:
    end: Json = {"type": "response.incomplete", "response": {"output": [], "incomplete_details": {"reason": reason}}}
    found = chunks(CREATED, call("added", 0, "c", "f"), end)
    assert found[-1]["choices"][0]["finish_reason"] == finish_reason


def test_nothing_comes_after_the_end() -> None:
    assert len(chunks(CREATED, COMPLETED, COMPLETED, said("output_text.delta", delta="x"))) == 3
