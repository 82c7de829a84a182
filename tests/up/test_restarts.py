"""When a child that has died is started again."""

import pytest

from agenthub.up.restarts import STEADY_SECONDS, deaths_in_a_row, pause_seconds


@pytest.mark.parametrize(("deaths", "pause"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (10_000, 30)])
def test_each_death_in_a_row_doubles_the_pause_up_to_a_bound(deaths: int, pause: float) -> None:
    assert pause_seconds(deaths) == pause


def test_a_child_that_has_proved_itself_starts_counting_anew() -> None:
    assert deaths_in_a_row(5, lived_seconds=STEADY_SECONDS) == 1
    assert deaths_in_a_row(5, lived_seconds=STEADY_SECONDS - 1) == 6
