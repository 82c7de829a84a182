"""Turns in a waiting line."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.fair_line import FairLine


def drained(line: FairLine[int]) -> list[int]:
    """Everybody, served one after the other."""
    served = []
    while len(line):
        key, who = next(line.in_turn())
        line.served(key, who)
        served.append(who)
    return served


def test_who_leaves_uses_up_no_turn() -> None:
    line: FairLine[int] = FairLine()
    for key, who in (("a", 1), ("b", 2), ("a", 3)):
        line.join(key, who)
    line.leave("a", 1)
    line.leave("a", 1)
    assert drained(line) == [3, 2]


def test_a_key_that_was_just_served_comes_after_those_that_wait() -> None:
    line: FairLine[int] = FairLine()
    line.join("greedy", 1)
    line.join("greedy", 2)
    line.served("greedy", 1)
    line.join("modest", 3)
    line.join("third", 4)
    assert [who for _, who in line.in_turn()] == [2, 3, 4]


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_what_is_foretold_is_what_happens_and_everybody_is_served_once(keys: list[str]) -> None:
    line: FairLine[int] = FairLine()
    for who, key in enumerate(keys):
        line.join(key, who)
    foretold = [who for _, who in line.in_turn()]
    assert drained(line) == foretold
    assert sorted(foretold) == list(range(len(keys)))


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_no_key_is_ever_more_than_one_turn_ahead_of_another_that_waits(keys: list[str]) -> None:
    line: FairLine[int] = FairLine()
    for who, key in enumerate(keys):
        line.join(key, who)
    left = {key: keys.count(key) for key in set(keys)}
    turns = dict.fromkeys(left, 0)
    for who in drained(line):
        key = keys[who]
        waiting = [other for other, count in left.items() if count]
        assert turns[key] <= min(turns[other] for other in waiting)
        turns[key] += 1
        left[key] -= 1
