"""Windows, buckets, streams and presence: the numbers of the protocol."""

from datetime import UTC, datetime, timedelta

import pytest

from agenthub.hub.gateway.welcome import Start, start
from agenthub.hub.rules.presence import presence
from agenthub.hub.rules.rate import Bucket, Patience
from agenthub.hub.rules.streams import IDLE_SECONDS, MOST_STREAMS, TEXT_BYTES, StreamClosed, Streams
from agenthub.hub.rules.window import MOST_BYTES, MOST_MESSAGES, NeverSent, Window
from agenthub.hub.services.sessions import Place

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def filled(count: int, size: int = 10) -> Window:
    window = Window()
    window.starts(0, head=1_000, now=0)
    for seq in range(1, count + 1):
        window.sends(seq, size, now=0)
    return window


def test_a_window_closes_by_count_and_by_size_and_opens_as_it_is_acknowledged() -> None:
    assert filled(MOST_MESSAGES - 1).is_open
    full = filled(MOST_MESSAGES)
    assert (full.is_open, full.room) == (False, 0)
    assert full.acks(10, now=1)
    assert (full.is_open, full.room) == (True, 10)
    assert not full.acks(10, now=1)
    assert not filled(1, MOST_BYTES).is_open


def test_what_was_never_sent_is_not_acknowledged() -> None:
    with pytest.raises(NeverSent):
        filled(3).acks(4, now=0)


def test_only_a_full_window_is_stuck_and_only_when_nothing_moves() -> None:
    full = filled(MOST_MESSAGES)
    assert not full.is_stuck(30)
    assert full.is_stuck(31)
    full.acks(1, now=20)
    full.sends(MOST_MESSAGES + 1, 1, now=20)
    assert not full.is_stuck(31)
    assert not filled(3).is_stuck(1_000)


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take(10.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(10.0) == pytest.approx(0.5)
    assert bucket.take(10.5) == 0
    assert bucket.take(9.0) > 0  # a clock that goes back gives nothing


def test_patience_ends_with_the_third_fault_within_a_minute() -> None:
    patience = Patience()
    assert [patience.ends(at) for at in (0, 30, 70, 80)] == [False, False, False, True]
    spaced = Patience(spaced=1)
    assert [spaced.ends(at) for at in (0, 0.5, 0.9, 1.1, 2.2)] == [False, False, False, False, True]


def test_a_stream_numbers_its_pieces_tells_gaps_and_ends_once() -> None:
    streams = Streams()
    assert streams.piece("s", "a", target_id=1, idx=None, now=0).idx == 0
    assert streams.piece("s", "b", target_id=1, idx=1, now=0).gap is False
    assert streams.piece("s", "c", target_id=1, idx=5, now=0).gap is True
    with pytest.raises(StreamClosed):
        streams.piece("s", "d", target_id=2, idx=6, now=0)
    left = streams.end("s")
    assert left is not None
    assert left.text == "abc"
    assert streams.end("s") is None
    with pytest.raises(StreamClosed):
        streams.piece("s", "late", target_id=1, idx=None, now=0)


def test_a_chat_is_the_text_of_its_stream() -> None:
    streams = Streams()
    streams.piece("s", "a", target_id=1, idx=0, now=0)
    streams.chat("s")
    with pytest.raises(StreamClosed):
        streams.piece("s", "b", target_id=1, idx=1, now=0)
    assert streams.end("s") is None
    streams.chat("never-begun")
    with pytest.raises(StreamClosed):
        streams.piece("never-begun", "b", target_id=1, idx=0, now=0)


def test_what_is_kept_of_streams_is_bounded() -> None:
    streams = Streams()
    for n in range(MOST_STREAMS + 5):
        streams.piece(f"s{n}", "x", target_id=1, idx=0, now=0)
    assert len(streams.towards(1)) == MOST_STREAMS
    for _ in range(30):
        streams.piece("s36", "y" * 16_000, target_id=1, idx=None, now=1)
    [long] = [stream for name, stream in streams.towards(1) if name == "s36"]
    assert long.size <= TEXT_BYTES
    assert long.cut
    assert len(streams.idle(IDLE_SECONDS + 0.5)) == MOST_STREAMS - 1
    assert [name for name, _ in streams.lost()] == ["s36"]
    assert not streams.any


@pytest.mark.parametrize(
    ("lease", "beat", "status", "expected"),
    [
        (60, 0, "idle", "online"),
        (60, 0, "busy", "busy"),
        (60, -36, "busy", "stale"),
        (0, 0, "busy", "offline"),
        (None, None, "idle", "offline"),
    ],
)
def test_presence(lease: int | None, beat: int | None, status: str, expected: str) -> None:
    until = NOW + timedelta(seconds=lease) if lease is not None else None
    heard = NOW + timedelta(seconds=beat) if beat is not None else None
    assert presence(lease_until=until, beat_at=heard, status=status, now=NOW) == expected


PLACE = Place(epoch="now", head=10, acked=4, trimmed=2)


@pytest.mark.parametrize(
    ("resume", "person", "expected"),
    [
        (None, False, Start(4, resumed=False)),
        (None, True, Start(10, resumed=False)),
        ({"epoch": "now", "last_seq": 7}, False, Start(7, resumed=True)),
        ({"epoch": "now", "last_seq": 2}, False, Start(2, resumed=True)),
        ({"epoch": "now", "last_seq": 1}, False, Start(2, resumed=False, gap=(2, 2, "retention"))),
        ({"epoch": "now", "last_seq": 11}, False, Start(4, resumed=False, gap=(5, 11, "restored"))),
        ({"epoch": "then", "last_seq": 3}, False, Start(4, resumed=False, gap=(4, 4, "restored"))),
        ({"epoch": "now", "last_seq": True}, False, Start(4, resumed=False)),
        ({"epoch": 7, "last_seq": 3}, False, Start(4, resumed=False)),
    ],
)
def test_where_a_client_begins(resume: dict[str, object] | None, *, person: bool, expected: Start) -> None:
    assert start(PLACE, resume, person=person) == expected
