import struct
from zlib import crc32

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.frames import MARKER, frame, scan
from proxy.rules.record import Attempt, Continued
from tests.proxy.entries import begun, ended

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
counts = st.integers(0, 2**62)
entries = st.one_of(
    st.builds(begun, texts, model=texts, work_item_id=texts, input_tokens_estimate=counts),
    st.builds(
        ended,
        texts,
        model=texts,
        status=st.integers(0, 599),
        cost_picousd=st.none() | counts,
        ttft_us=st.none() | counts,
        trail=st.lists(st.builds(Attempt, texts, texts, counts, counts, counts), max_size=3).map(tuple),
    ),
    st.builds(Continued, texts),
)


@given(st.lists(entries, max_size=8))
def test_what_is_framed_is_read_again(written: list[object]) -> None:
    data = b"".join(frame(entry) for entry in written)  # type: ignore[arg-type]

    found = scan(data)

    assert found.entries == written
    assert (found.end, found.damaged_bytes) == (len(data), 0)


@given(st.lists(entries, min_size=1, max_size=3))
def test_a_cut_at_any_byte_costs_only_the_torn_entry(written: list[object]) -> None:
    frames = [frame(entry) for entry in written]  # type: ignore[arg-type]
    whole = b"".join(frames)
    for cut in range(len(whole)):
        found = scan(whole[:cut])

        complete = [sum(map(len, frames[: n + 1])) for n in range(len(frames)) if sum(map(len, frames[: n + 1])) <= cut]
        assert found.entries == written[: len(complete)]
        assert found.offsets == complete
        assert (found.end, found.damaged_bytes) == (complete[-1] if complete else 0, 0)


@given(st.lists(entries, min_size=2, max_size=5), st.data())
def test_a_damaged_byte_costs_only_its_entry(written: list[object], data: st.DataObject) -> None:
    frames = [frame(entry) for entry in written]  # type: ignore[arg-type]
    hurt = data.draw(st.integers(0, len(frames) - 2))
    at = data.draw(st.integers(0, len(frames[hurt]) - 1))
    broken = bytearray(frames[hurt])
    broken[at] ^= data.draw(st.integers(1, 255))

    found = scan(b"".join([*frames[:hurt], bytes(broken), *frames[hurt + 1 :]]))

    assert found.entries == written[:hurt] + written[hurt + 1 :]
    assert found.damaged_bytes == len(broken)


def test_zeros_at_the_end_are_a_torn_tail_and_no_damage() -> None:
    data = frame(begun("a"))

    found = scan(data + bytes(4096))

    assert (len(found.entries), found.end, found.damaged_bytes) == (1, len(data), 0)


def test_an_entry_of_a_later_version_is_passed_over_and_counted() -> None:
    payload = msgspec.msgpack.encode(["z", "from the future"])
    later = struct.pack("<2sII", MARKER, len(payload), crc32(payload)) + payload

    found = scan(later + frame(begun("a")))

    assert [entry.id for entry in found.entries] == ["a"]  # type: ignore[union-attr]
    assert found.damaged_bytes == len(later)


def test_reading_stops_at_the_limit_and_goes_on_from_there() -> None:
    data = b"".join(frame(begun(str(number))) for number in range(5))

    first = scan(data, limit=3)
    second = scan(data[first.end :], limit=3)

    assert [entry.id for entry in first.entries + second.entries] == list("01234")  # type: ignore[union-attr]


def test_a_long_model_name_is_cut() -> None:
    data = frame(ended("a", model="m" * 2_000_000, native_id="n" * 2_000_000, work_item_id="w" * 2_000_000))

    assert len(data) < 2_000
    assert scan(data).entries[0].id == "a"  # type: ignore[union-attr]


def test_a_caller_can_not_plant_an_entry_in_a_text() -> None:
    planted = frame(ended("planted")).decode("latin-1")
    torn = frame(begun("a", model=planted))[:-1]

    assert scan(torn).entries == []
