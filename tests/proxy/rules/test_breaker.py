"""One trial at a time after an outage has begun."""

from proxy.rules.breaker import Breaker


def test_it_is_closed_until_something_fails() -> None:
    breaker = Breaker(1)
    assert breaker.allows(0)
    assert breaker.allows(0)
    assert not breaker.succeeded()
    assert not breaker.is_open


def test_after_a_failure_nobody_asks_for_a_while_and_then_one() -> None:
    breaker = Breaker(1)
    assert breaker.failed(10)
    assert [breaker.allows(at) for at in (10, 10.99, 11, 11, 12)] == [False, False, True, False, False]
    assert breaker.succeeded()
    assert breaker.allows(12)
    assert breaker.allows(12)


def test_a_trial_that_fails_begins_no_other_outage_but_another_pause() -> None:
    breaker = Breaker(1)
    breaker.failed(10)
    assert breaker.allows(11)
    assert not breaker.failed(11.1)
    assert [breaker.allows(at) for at in (12, 12.1)] == [False, True]


def test_a_trial_that_nobody_waited_for_is_made_by_the_next() -> None:
    breaker = Breaker(1)
    breaker.failed(10)
    assert breaker.allows(11)
    breaker.abandoned()
    assert breaker.allows(11)
    assert breaker.is_open
