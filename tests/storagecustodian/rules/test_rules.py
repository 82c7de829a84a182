"""The rules of checkpoints, by tables and properties."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.errors import CheckpointCorrupt
from agenthub.core.statepaths import paths_in, paths_refusal
from storagecustodian.rules.diff import MOST_CHANGES, diff
from storagecustodian.rules.envelope import Packed, envelope_bytes, envelope_of, packed, unpacked
from storagecustodian.rules.graphs import Node, ancestors_needed
from storagecustodian.rules.kinds import auto_due
from storagecustodian.rules.lineage import Stretch, Turn, lineage, on_line
from storagecustodian.rules.paths import agent_of_folder, file_name, folder_name, legacy_name, sequence_of
from storagecustodian.rules.redaction import redacted

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
STATE = st.dictionaries(TEXT, JSON, max_size=5)


@given(STATE)
def test_every_state_of_json_comes_back_as_it_was(state: dict[str, Any]) -> None:
    document = envelope_bytes(state, at=AT)
    assert envelope_of(unpacked(packed(document))).state == state
    assert json.loads(document)["serialized_at"] == "2026-01-02T03:04:05+00:00"


@given(st.binary(min_size=1, max_size=20_000), st.integers(min_value=0), st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(document: bytes, place: int, bit: int) -> None:
    stored = packed(document)
    body = bytearray(stored.body)
    body[place % len(body)] ^= 1 << bit
    with pytest.raises(CheckpointCorrupt):
        unpacked(Packed(bytes(body), stored.encoding, stored.size, stored.sha256))


def test_what_unpacks_to_more_than_it_says_does_not_fill_the_memory() -> None:
    stored = packed(b"0" * 50_000_000)
    with pytest.raises(CheckpointCorrupt):
        unpacked(Packed(stored.body, stored.encoding, 1_000, stored.sha256))


@given(TEXT.filter(bool), TEXT.filter(bool))
def test_agents_have_folders_of_their_own_even_where_case_counts_for_nothing(one: str, other: str) -> None:
    assert (folder_name(one).lower() == folder_name(other).lower()) == (one == other)
    assert len(folder_name(one).encode()) <= 255
    assert agent_of_folder(folder_name(one)) in (one, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (file_name(7, "ckp_0123456789ab"), (7, "ckp_0123456789ab")),
        ("000000000007-ckp_0123456789ab.json.new", None),
        ("7-ckp_0123456789ab.json", None),
        (".new-0123", None),
        ("000000000007-ckp_../../../x.json", None),
    ],
)
def test_names_of_files_are_read_strictly(name: str, expected: tuple[int, str] | None) -> None:
    assert sequence_of(name) == expected


@pytest.mark.parametrize(
    ("stem", "inside", "expected"),
    [
        ("7_20260102_030405", "", ("7", "", AT)),
        ("a_b_20260102_030405", "", ("a_b", "", AT)),
        ("a_b_good", "a_b", ("a_b", "good", None)),
        ("a_b_good", "a", ("a", "b_good", None)),
        ("a_b_good", "other", ("a_b", "good", None)),
        ("a_20261399_030405", "a", ("a", "20261399_030405", None)),
        ("alone", "", ("alone", "", None)),
    ],
)
def test_names_of_older_files(stem: str, inside: str, expected: tuple[str, str, datetime | None]) -> None:
    found = legacy_name(stem, inside)
    assert (found.agent_id, found.label, found.at) == expected


@pytest.mark.parametrize(
    ("iteration", "last", "due"),
    [
        (4, 0, False),
        (5, 0, True),
        (9, 5, False),
        (12, 5, True),
        (2, 5, False),
        (4, 40, False),
        (5, 40, True),
        (0, 0, False),
    ],
)
def test_when_an_automatic_one_is_due(iteration: int, last: int, due: bool) -> None:
    assert auto_due(iteration, last, 5) is due


def test_the_line_follows_restores_back_and_leaves_out_what_was_left() -> None:
    turns = [Turn(1, 0, 5), Turn(2, 1, 9), Turn(3, 0, 7)]
    assert lineage(0, []) == (Stretch(0, None),)
    assert lineage(2, turns) == (Stretch(2, None), Stretch(1, 9), Stretch(0, 5))
    parts = lineage(3, turns)
    assert [on_line(parts, *each) for each in ((3, 99), (0, 7), (0, 8), (1, 6), (2, 10))] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_circles_and_very_many_restores_end() -> None:
    assert lineage(1, [Turn(1, 1, 5)]) == (Stretch(1, None),)
    assert len(lineage(500, [Turn(n, n - 1, n) for n in range(1, 501)])) == 100


def test_differences_are_named_by_their_place() -> None:
    found = diff({"a": 1, "b": [1, {"c": 2}], "d": None, "e": 1}, {"a": 1, "b": [1, {"c": 3}, 4], "e": True, "f": {}})
    shown = [(one.kind, one.path, one.before, one.after) for one in found.changes]
    assert shown == [
        ("changed", "b[1].c", 2, 3),
        ("added", "b[2]", None, 4),
        ("removed", "d", None, None),
        ("changed", "e", 1, True),
        ("added", "f", None, {}),
    ]
    assert not found.more


@given(STATE, STATE)
def test_there_is_a_difference_exactly_where_json_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert diff(one, one).changes == ()
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (diff(one, other).changes == ()) >= same


def test_a_long_list_of_differences_is_cut() -> None:
    found = diff({}, {str(n): n for n in range(MOST_CHANGES + 1)})
    assert (len(found.changes), found.more) == (MOST_CHANGES, True)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("none", {"a": {"k": 1, "l": 2}, "m": [{"k": 3}, {"k": 4}]}),
        ("a.k", {"a": {"k": "[redacted]", "l": 2}, "m": [{"k": 3}, {"k": 4}]}),
        ("m.*.k, a", {"a": "[redacted]", "m": [{"k": "[redacted]"}, {"k": "[redacted]"}]}),
        ("m.1", {"a": {"k": 1, "l": 2}, "m": [{"k": 3}, "[redacted]"]}),
        ("nothing.here", {"a": {"k": 1, "l": 2}, "m": [{"k": 3}, {"k": 4}]}),
    ],
)
def test_values_are_redacted_by_their_paths(paths: str, expected: dict[str, Any]) -> None:
    assert redacted({"a": {"k": 1, "l": 2}, "m": [{"k": 3}, {"k": 4}]}, paths_in(paths)) == expected


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "a, b..c"])
def test_paths_without_names_are_refused(text: str) -> None:
    assert "must be paths" in paths_refusal(text)


def node(name: str, parent: str, *, version: str, delta: bool = True) -> Node:
    return Node(name, parent, {"log": version}, frozenset(), frozenset({"log"} if delta else ()))


@pytest.mark.parametrize(
    ("stored", "needed"),
    [
        ({("log", "v4")}, set()),
        ({("log", "v2")}, {"c3", "c2"}),
        (set(), {"c3", "c2", "c1"}),
    ],
)
def test_delta_channels_need_their_history_to_the_last_snapshot(stored: set[tuple[str, str]], needed: set[str]) -> None:
    chain = [node(f"c{n}", f"c{n - 1}" if n > 1 else "", version=f"v{n}") for n in range(1, 5)]
    assert ancestors_needed({each.id: each for each in chain}, ["c4"], stored) == needed


def test_other_threads_need_no_history() -> None:
    chain = [node(f"c{n}", f"c{n - 1}", version="v", delta=False) for n in range(1, 5)]
    assert ancestors_needed({each.id: each for each in chain}, ["c4"], set()) == set()
