from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.money import LARGEST_PICODOLLARS, picodollars_from_usd, usd_from_picodollars, usd_text


@given(st.integers(min_value=-LARGEST_PICODOLLARS, max_value=LARGEST_PICODOLLARS))
def test_every_amount_survives(picodollars: int) -> None:
    usd = usd_from_picodollars(picodollars)
    assert picodollars_from_usd(usd) == picodollars
    assert Decimal(usd_text(usd)) == usd


@pytest.mark.parametrize("usd", ["1e-13", "NaN", "Infinity", "1e30", "0.0000000000001"])
def test_what_can_not_be_stored_exactly_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match=r"amount|picodollar"):
        picodollars_from_usd(Decimal(usd))


@pytest.mark.parametrize(("usd", "text"), [("1.5E-7", "0.00000015"), ("10", "10"), ("0E-12", "0"), ("2.50", "2.5")])
def test_amounts_are_written_plainly(usd: str, text: str) -> None:
    assert usd_text(Decimal(usd)) == text
