"""Events out of bytes, however they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import EventSplitter, EventTooLarge, data_of

EVENTS = [
    b'data: {"a":1}\n\n',
    b": comment\n\n",
    b'event: x\ndata: {"b":2}\n\n',
    b"data: one\ndata: two\r\n\r\n",
    b"data:tight\n\n",
    b"data: [DONE]\n\n",
]
STREAM = b"".join(EVENTS)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_do_not_matter_and_no_byte_is_lost(cuts: list[int]) -> None:
    splitter = EventSplitter(1000)
    bounds = [0, *sorted(cuts), len(STREAM)]
    found = [event for start, end in pairwise(bounds) for event in splitter.feed(STREAM[start:end])]
    assert found == EVENTS
    assert splitter.rest() == b""


@given(st.binary(max_size=200), st.integers(1, 7))
def test_bytes_of_any_kind_come_out_as_they_went_in(data: bytes, step: int) -> None:
    splitter = EventSplitter(1000)
    found = [event for at in range(0, len(data), step) for event in splitter.feed(data[at : at + step])]
    assert b"".join(found) + splitter.rest() == data


def test_an_event_without_end_is_refused() -> None:
    splitter = EventSplitter(100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x" * 10)


@pytest.mark.parametrize(
    ("event", "data"),
    list(zip(EVENTS, [b'{"a":1}', None, b'{"b":2}', b"one\ntwo", b"tight", b"[DONE]"], strict=True)),
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data
