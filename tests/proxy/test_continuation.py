"""A stream that was cut and the one that goes on with it read as one, whatever the second backend speaks."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.demo.standin.answers import chat_events
from agenthub.demo.standin.messages import MessageEvents
from agenthub.demo.standin.multipart import NO_FORM
from agenthub.demo.standin.protocol import Ask, Events
from agenthub.demo.standin.responses import ResponseEvents
from agenthub.demo.standin.script import Script
from providers.rules.table import ApiKind, BackendEntry, Candidate, MappingEntry
from proxy.continuation import Continuation
from proxy.rules.endpoints import ENDPOINTS
from proxy.wire.dialects import dialect_of
from proxy.wire.prefill import SaidSoFar
from proxy.wire.sse import EventSplitter, data_of
from proxy.wire.usage import Usage
from tests.proxy.strict import read_strictly

ENDPOINT = ENDPOINTS["/v1/chat/completions"]
BODY = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
MAKERS: dict[ApiKind, Callable[[Ask], Events]] = {
    ApiKind.OPENAI_COMPLETIONS: chat_events,
    ApiKind.ANTHROPIC_MESSAGES: MessageEvents,
    ApiKind.OPENAI_RESPONSES: ResponseEvents,
}
SPENT = Usage(input_tokens=9, output_tokens=2, estimated=True)
ENDS = ("[DONE]", "message_stop", "response.completed")


def events_of(kind: ApiKind, script: Script, model: str) -> list[bytes]:
    made = MAKERS[kind](Ask(script, BODY | {"model": model}, NO_FORM))
    pieces = [*made.opening(), *(made.chunk(number) for number in range(made.chunks)), *made.closing()]
    return EventSplitter(1 << 20).feed(b"".join(pieces))


def cut_after(chunks: int, text: str) -> tuple[bytes, SaidSoFar]:
    """What a chat backend has said until it was cut, and what is known of it."""
    events = events_of(ApiKind.OPENAI_COMPLETIONS, Script(text=text, chunks=chunks), "first")[: chunks + 1]
    said = SaidSoFar()
    for event in events[1:]:  # the role is no content
        said.take(event)
    return b"".join(events), said


def gone_on(said: SaidSoFar, kind: ApiKind, script: Script, *, wants_usage: bool = True) -> bytes:
    """What a backend makes of the rest, and the end of the stream."""
    translation = Continuation(said, SPENT, 0).stream(dialect_of(ENDPOINT, kind), created=1, wants_usage=wants_usage)
    *events, last = [data_of(event) or b"" for event in events_of(kind, script, "second")]
    assert any(end.encode() in last for end in ENDS)
    return b"".join([translation.event(data) for data in events]) + translation.end(last)


@given(
    kind=st.sampled_from(list(MAKERS)),
    chunks=st.integers(1, 6),
    text=st.sampled_from(["word{n} ", "{n}\n\n", "é{n}"]),
    more=st.sampled_from(["more{n} ", " more{n}", "\n    {n}"]),
    rest=st.integers(1, 6),
    reasoning=st.sampled_from(["", "Let me see."]),
)
def test_both_parts_read_as_one_stream(
    kind: ApiKind, chunks: int, text: str, more: str, rest: int, reasoning: str
) -> None:
    before, said = cut_after(chunks, text)
    begun = said.text
    script = Script(text=more, chunks=rest, reasoning=reasoning)
    read = read_strictly(before + gone_on(said, kind, script))
    new = "".join(more.replace("{n}", str(number)) for number in range(rest))
    if kind is ApiKind.ANTHROPIC_MESSAGES:
        # Its backend was not shown the white space at the end, and may say it again.
        for each in begun[len(begun.rstrip()) :]:
            if not new.startswith(each):
                break
            new = new[1:]
    assert read.text == begun + new
    assert read.model == "first"
    assert read.finish_reason == "stop"
    assert read.usage is not None
    assert (read.usage["prompt_tokens"], read.usage["completion_tokens"]) == (9 + 11, 2 + rest)


@pytest.mark.parametrize("kind", MAKERS)
def test_usage_that_nobody_asked_for_stays_hidden(kind: ApiKind) -> None:
    before, said = cut_after(2, "word{n} ")
    assert read_strictly(before + gone_on(said, kind, Script(), wants_usage=False)).usage is None


def test_what_is_cut_again_goes_on_again() -> None:
    before, said = cut_after(2, "one{n} ")
    dialect = dialect_of(ENDPOINT, ApiKind.ANTHROPIC_MESSAGES)
    second = Continuation(said, SPENT, 0).stream(dialect, created=1, wants_usage=True)
    for event in events_of(ApiKind.ANTHROPIC_MESSAGES, Script(text="two{n} ", chunks=2), "second")[:5]:
        out = second.event(data_of(event) or b"")
        if out:
            said.take(out)
        before += out
    assert said.text == "one0 one1 two0 two1 "
    last = gone_on(said, ApiKind.OPENAI_COMPLETIONS, Script(text="three{n} ", chunks=1))
    assert read_strictly(before + last).text == "one0 one1 two0 two1 three0 "


def candidate(kind: ApiKind, **compat: object) -> Candidate:
    backend = BackendEntry("a", "a", "", "primary", "http://host/v1", kind, "k")
    return Candidate(backend, MappingEntry("m", "n", compat=compat))


def test_anthropics_format_gets_no_white_space_at_the_end() -> None:
    _, said = cut_after(2, "word{n} \n")
    body = json.dumps({"model": "m", "messages": [], "max_tokens": 100}).encode()
    continuation = Continuation(said, SPENT, 0)
    stripped = json.loads(continuation.request(body, candidate(ApiKind.ANTHROPIC_MESSAGES)))
    whole = json.loads(continuation.request(body, candidate(ApiKind.OPENAI_COMPLETIONS, prefill="prefix")))
    assert stripped["messages"] == [{"role": "assistant", "content": "word0 \nword1"}]
    assert whole["messages"] == [{"role": "assistant", "content": "word0 \nword1 \n", "prefix": True}]
    assert 80 <= stripped["max_tokens"] == whole["max_tokens"] < 100
