"""What a request costs: disjoint token classes times whole picodollars (1e-12 USD), so that sums are exact."""

from providers.rules.table import Prices


def cost_picousd(
    prices: Prices,
    *,
    input_tokens: int = 0,
    cache_read_tokens: int = 0,
    cache_write_tokens: int = 0,
    output_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> int | None:
    """The price of a request in picodollars; None if it holds tokens that nobody has priced, or nothing is priced.

    Cached tokens without a price of their own cost what input costs, reasoning costs what output costs: that is what
    providers bill when their price list does not name them.
    """
    classes = (
        (input_tokens, prices.input),
        (cache_read_tokens, prices.input if prices.cache_read is None else prices.cache_read),
        (cache_write_tokens, prices.input if prices.cache_write is None else prices.cache_write),
        (output_tokens + reasoning_tokens, prices.output),
    )
    if all(price is None for _, price in classes):
        return None
    total = 0
    for tokens, price in classes:
        if price is not None:
            total += tokens * price
        elif tokens:
            return None
    return total
