"""What a client was sent, and another client gets again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.errors import Refused
from proxy.client import Client, Headers
from proxy.recording import Recorded, Recording, RecordingClient, pack, replay, unpack
from proxy.wire.sse import DONE_EVENT, KEEP_ALIVE_EVENT
from tests.proxy.fake_client import FakeClient

JSON: Headers = [(b"content-type", b"application/json")]
EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
STREAM = [b'data: {"a":1}\n\n', b": comment\n\n", b'event: x\ndata: {"b":2}\r\n\r\n', DONE_EVENT]


def recorder(most_bytes: int = 10_000) -> tuple[FakeClient, RecordingClient]:
    client = FakeClient()
    return client, RecordingClient(client, Recording(most_bytes))


def stream(*events: bytes) -> Recorded:
    return Recorded(200, tuple(EVENTS), b"".join(events), True)


async def test_what_is_sent_reaches_the_client_and_is_recorded() -> None:
    client, recording_client = recorder()
    recording_client.start(200, EVENTS)
    for event in STREAM[:-1]:
        recording_client.push_body(event)
    await recording_client.finish(STREAM[-1])
    assert (client.status, client.headers, client.pieces, client.finished) == (200, EVENTS, STREAM, True)
    assert recording_client.recording.result() == stream(*STREAM)


async def test_only_what_is_true_of_the_answer_is_kept_of_its_headers() -> None:
    _, client = recorder()
    kept = [(b"content-type", b"application/json"), (b"x-agenthub-backend", b"bkd_1"), (b"x-agenthub-pool", b"primary")]
    sent_once = [
        (b"x-request-id", b"req_1"),
        (b"x-agenthub-attempts", b"2"),
        (b"x-ratelimit-remaining-requests", b"3"),
        (b"x-upstream-ratelimit-limit-requests", b"3"),
        (b"content-length", b"2"),
        (b"connection", b"close"),
        (b"x-agenthub-cache", b"miss"),
    ]
    client.start(200, [*sent_once, *kept])
    await client.finish(b"{}")
    assert client.recording.result() == Recorded(200, tuple(kept), b"{}", False)


async def test_names_of_headers_are_the_same_in_capitals() -> None:
    _, client = recorder()
    client.start(200, [(b"Content-Type", b"Text/Event-Stream")])
    await client.finish(DONE_EVENT)
    assert client.recording.result() == Recorded(200, ((b"content-type", b"Text/Event-Stream"),), DONE_EVENT, True)


async def test_an_answer_without_its_end_is_none() -> None:
    _, client = recorder()
    client.start(200, EVENTS)
    client.push_body(STREAM[0])
    assert client.recording.result() is None
    assert not client.recording.forgotten


async def test_an_answer_whose_client_leaves_at_the_last_piece_is_whole() -> None:
    client, recording_client = recorder()
    client.full()
    recording_client.start(200, JSON)
    task = asyncio.create_task(recording_client.finish(b"{}"))
    recording_client.watch(task)
    await asyncio.sleep(0)
    client.hang_up()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recording_client.gone
    assert not client.finished
    assert recording_client.recording.result() == Recorded(200, tuple(JSON), b"{}", False)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 200))
async def test_beyond_its_bound_a_recording_forgets_all_and_the_client_gets_all(
    pieces: list[bytes], most_bytes: int
) -> None:
    client, recording_client = recorder(most_bytes)
    recording_client.start(200, JSON)
    for piece in pieces:
        recording_client.push_body(piece)
    await recording_client.finish(b"end")
    body = b"".join(pieces) + b"end"
    fits = len(body) + sum(map(len, JSON[0])) <= most_bytes
    assert client.body == body
    assert recording_client.recording.forgotten is not fits
    assert recording_client.recording.result() == (Recorded(200, tuple(JSON), body, False) if fits else None)


async def test_keep_alive_comments_are_not_recorded() -> None:
    client, recording_client = recorder()
    recording_client.keep_talking(0.001, EVENTS)
    await client.pushed.wait()
    own = [*EVENTS, (b"x-agenthub-backend", b"bkd_1")]
    recording_client.start(200, own)
    await recording_client.finish(DONE_EVENT)
    recording_client.close()
    assert client.headers == EVENTS
    assert KEEP_ALIVE_EVENT in client.pieces
    assert recording_client.recording.result() == Recorded(200, tuple(own), DONE_EVENT, True)


def test_nothing_of_a_client_is_left_to_the_wrapper_itself() -> None:
    assert {name for name in vars(Client) if not name.startswith("_")} <= vars(RecordingClient).keys()


async def test_the_wrapper_is_its_client() -> None:
    client, wrapper = recorder()
    assert await wrapper.read_body(10) == b"{}"
    client.full()
    assert wrapper.congested
    told: list[str] = []
    wrapper.when_drained(lambda: told.append("room"))
    draining = asyncio.create_task(wrapper.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    client.empty()
    await draining
    assert told == ["room"]
    wrapper.writable()
    assert told == ["room", "room"]
    assert (wrapper.started, wrapper.gone) == (False, False)
    client.started = True
    waiting = asyncio.create_task(asyncio.Event().wait())
    wrapper.watch(waiting)
    wrapper.hang_up()
    assert (wrapper.started, wrapper.gone, client.gone) == (True, True, True)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    wrapper.close()
    assert client.closed


async def test_an_answer_goes_out_again_as_one() -> None:
    client = FakeClient()
    recorded = Recorded(400, tuple(JSON), b'{"error":{}}', False)
    assert await replay(client, recorded, [(b"x-request-id", b"req_2")])
    assert (client.status, client.pieces, client.finished) == (400, [b'{"error":{}}'], True)
    assert client.headers == [*JSON, (b"x-request-id", b"req_2"), (b"content-length", b"12")]


async def test_an_empty_answer_goes_out_again() -> None:
    for is_stream in (True, False):
        client = FakeClient()
        assert await replay(client, Recorded(200, (), b"", is_stream))
        assert (client.body, client.finished) == (b"", True)


async def test_a_stream_goes_out_again_event_by_event() -> None:
    client = FakeClient()
    assert await replay(client, stream(*STREAM), [(b"x-agenthub-cache", b"hit")])
    assert (client.status, client.pieces, client.finished) == (200, STREAM, True)
    assert client.headers == [*EVENTS, (b"x-agenthub-cache", b"hit")]


@given(st.lists(st.integers(0, 100_000), max_size=6), st.binary(max_size=5))
async def test_no_byte_of_a_long_stream_is_lost(sizes: list[int], rest: bytes) -> None:
    client = FakeClient()
    recorded = stream(*(b"data: " + b"x" * size + b"\n\n" for size in sizes), rest)
    assert await replay(client, recorded)
    assert client.body == recorded.body


async def test_a_stream_goes_out_no_faster_than_it_is_taken() -> None:
    client = FakeClient()
    client.full()
    task = asyncio.create_task(replay(client, stream(*STREAM)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.pieces == []
    client.empty()
    assert await task
    assert client.pieces == STREAM


async def test_who_takes_nothing_gets_no_end() -> None:
    client = FakeClient()
    client.full()
    assert not await replay(client, stream(*STREAM), stall_seconds=0.001)
    assert not client.finished


async def test_a_refusal_can_not_follow_a_stream_that_comments_have_begun() -> None:
    client = FakeClient()
    client.start(200, EVENTS)
    with pytest.raises(Refused, match="refused the request with 400"):
        await replay(client, Recorded(400, tuple(JSON), b"{}", False))
    assert client.pieces == []
    assert await replay(client, stream(*STREAM))
    assert client.pieces == STREAM


@given(
    st.builds(
        Recorded,
        st.integers(100, 599),
        st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3).map(tuple),
        st.binary(max_size=99),
        st.booleans(),
    )
)
def test_packing_loses_nothing(recorded: Recorded) -> None:
    data = pack(recorded)
    assert unpack(data) == recorded
    assert unpack(data[:-1]) is None
    assert unpack(b"\x02" + data[1:]) is None


@given(st.binary(max_size=60))
def test_bytes_that_nobody_packed_are_no_answer(data: bytes) -> None:
    assert unpack(b"\x01\x91" + data) is None
    assert unpack(b"") is None
