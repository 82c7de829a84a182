"""Buckets, windows and callers."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.rules import bucket
from proxy.rules.caller import Caller
from proxy.rules.keyhash import client_key_digest, pepper
from proxy.rules.window import OutcomeWindow


@given(
    per_minute=st.floats(0.1, 10_000),
    capacity=st.floats(1, 10_000),
    waits=st.lists(st.floats(0, 30), max_size=60),
)
def test_no_schedule_gets_more_than_the_rate_and_one_burst(
    per_minute: float, capacity: float, waits: list[float]
) -> None:
    tokens, taken, elapsed = capacity, 0, 0.0
    for wait in waits:
        tokens = bucket.refilled(tokens, elapsed_seconds=wait, per_minute=per_minute, capacity=capacity)
        elapsed += wait
        while bucket.has(tokens) and taken < 100_000:
            tokens -= 1
            taken += 1
    # The tolerance of `has` lends at most a millionth of a token at a time.
    assert taken <= capacity + per_minute * elapsed / 60 + 1e-6 * (taken + 1) + 1e-9


@given(tokens=st.floats(0, 5), per_minute=st.floats(0.1, 10_000))
def test_waiting_the_time_that_it_says_is_enough(tokens: float, per_minute: float) -> None:
    wait = bucket.seconds_until(tokens, per_minute=per_minute)
    assert bucket.has(bucket.refilled(tokens, elapsed_seconds=wait, per_minute=per_minute, capacity=10))


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    assert bucket.refilled(3, elapsed_seconds=-100, per_minute=60, capacity=5) == 3


def test_the_window_forgets_what_is_old() -> None:
    window = OutcomeWindow(60)
    for second in range(10):
        window.add(second, success=second % 2 == 0)
    assert window.counts(10) == (10, 5)
    assert window.counts(200) == (0, 0)
    window.add(201, success=True)
    window.clear()
    assert window.counts(201) == (0, 0)


def test_a_key_works_until_it_expires() -> None:
    caller = Caller("k", "k", expires_at=100)
    assert caller.usable(99.9)
    assert not caller.usable(100)
    assert not Caller("k", "k", enabled=False).usable(0)


def test_patterns_decide_which_models_a_key_may_use() -> None:
    caller = Caller("k", "k", allowed_models=("gpt-4*", "meta/llama"))
    assert [caller.may_use(model) for model in ("gpt-4o", "meta/llama", "meta/llama-2", "GPT-4o")] == [
        True,
        True,
        False,
        False,
    ]
    assert Caller("k", "k").may_use("anything")


def test_a_digest_depends_on_the_secret() -> None:
    one, other = (client_key_digest("ah-x", pepper(secret)) for secret in ("one", "other"))
    assert one != other
    assert one == client_key_digest("ah-x", pepper("one"))
    assert len(client_key_digest("\udcff" * 3, pepper("one"))) == 32
