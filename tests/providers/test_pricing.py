import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.pricing import cost_picousd
from providers.rules.table import Prices

CLASSES = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
prices = st.none() | st.integers(0, 10**9)
price_lists = st.builds(Prices, prices, prices, prices, prices)
priced_lists = st.builds(Prices, st.integers(0, 10**9), st.integers(0, 10**9), prices, prices)
usages = st.fixed_dictionaries({name: st.integers(0, 10**7) for name in CLASSES})


@pytest.mark.parametrize(
    ("price_list", "tokens", "cost"),
    [
        (Prices(), {"input_tokens": 5}, None),
        (Prices(), {}, None),
        (Prices(input=150_000, output=600_000), {}, 0),
        (Prices(input=0, output=0), {"input_tokens": 5, "output_tokens": 5}, 0),
        (Prices(input=150_000, output=600_000), {"input_tokens": 1_000_000}, 150_000_000_000),
        (Prices(input=20_000), {"input_tokens": 3}, 60_000),
        (Prices(input=20_000), {"input_tokens": 3, "output_tokens": 1}, None),
        (Prices(output=20_000), {"input_tokens": 3, "output_tokens": 1}, None),
        (Prices(input=100, output=1, cache_read=10, cache_write=125), {"cache_read_tokens": 1}, 10),
        (Prices(input=100, output=1, cache_read=10, cache_write=125), {"cache_write_tokens": 1}, 125),
        (Prices(input=100, output=1), {"cache_read_tokens": 1, "cache_write_tokens": 1}, 200),
        (Prices(input=100, output=1, cache_read=0), {"cache_read_tokens": 1}, 0),
        (Prices(input=100, output=7), {"output_tokens": 1, "reasoning_tokens": 2}, 21),
    ],
)
def test_the_price_of_a_request(price_list: Prices, tokens: dict[str, int], cost: int | None) -> None:
    assert cost_picousd(price_list, **tokens) == cost


@given(priced_lists, usages, usages)
def test_two_requests_cost_as_much_as_one_of_both(
    price_list: Prices, one: dict[str, int], other: dict[str, int]
) -> None:
    both = {name: one[name] + other[name] for name in CLASSES}

    parts = [cost_picousd(price_list, **one), cost_picousd(price_list, **other)]
    assert cost_picousd(price_list, **both) == sum(part for part in parts if part is not None)
    assert None not in parts


@given(price_lists, usages)
def test_a_cost_is_never_zero_for_want_of_a_price(price_list: Prices, usage: dict[str, int]) -> None:
    cost = cost_picousd(price_list, **usage)

    if cost == 0:
        free = (price_list.input or 0) == 0 or (price_list.output or 0) == 0
        assert free or not any(usage.values()) or price_list.cache_read == 0 or price_list.cache_write == 0
        assert price_list != Prices()


@given(priced_lists, usages)
def test_cached_tokens_without_a_price_cost_what_input_costs(price_list: Prices, usage: dict[str, int]) -> None:
    plain = Prices(input=price_list.input, output=price_list.output)
    spelled = Prices(price_list.input, price_list.output, price_list.input, price_list.input)

    assert cost_picousd(plain, **usage) == cost_picousd(spelled, **usage)


@given(priced_lists, usages, st.sampled_from(CLASSES))
def test_one_more_token_never_costs_less(price_list: Prices, usage: dict[str, int], name: str) -> None:
    before, after = cost_picousd(price_list, **usage), cost_picousd(price_list, **usage | {name: usage[name] + 1})

    assert before is not None
    assert after is not None
    assert after >= before
