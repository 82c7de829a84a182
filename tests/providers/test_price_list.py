from decimal import Decimal
from typing import Any

import pytest

from agenthub.core.money import picodollars_from_usd
from providers.presets import PRESETS
from providers.rules import price_list
from providers.rules.discovery import proposals
from providers.rules.price_list import list_prices

OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("base_url", "name", "output"),
    [
        (OPENAI, "gpt-4o", "0.00001"),
        (OPENAI, "gpt-4o-2024-08-06", "0.00001"),
        (OPENAI, "gpt-4o-2024-05-13", "0.000015"),  # a version with a price of its own
        ("https://api.anthropic.com/v1", "claude-sonnet-4-20250514", "0.000015"),
        ("https://api.mistral.ai/v1", "mistral-small-latest", "3E-7"),
        (OPENAI, "gpt-4o-audio-preview", None),  # another model, though its name begins alike
        (OPENAI, "", None),
        ("https://api.openai.com.example.org/v1", "gpt-4o", None),
        ("http://127.0.0.1:8000/v1", "gpt-4o", None),
        ("", "gpt-4o", None),
    ],
)
def test_a_price_is_that_of_the_provider_and_the_model(base_url: str, name: str, output: str | None) -> None:
    assert list_prices(base_url, name).get("output") == (None if output is None else Decimal(output))


def test_every_row_is_of_a_preset_and_can_be_stored() -> None:
    hosts = {preset.api_base_url.split("/")[2] for preset in PRESETS}
    assert set(price_list.PRICES) <= hosts
    for host, rows in price_list.PRICES.items():
        for name in rows:
            prices = list_prices(f"https://{host}/v1", name)
            assert "input" in prices
            assert all(picodollars_from_usd(price) > 0 for price in prices.values()), name


def test_what_the_upstream_says_goes_before_the_list() -> None:
    entries: list[dict[str, Any]] = [
        {"id": "gpt-4o", "pricing": {"prompt": "0.000001"}},
        {"id": "gpt-4.1"},
        {"id": "unheard-of"},
    ]
    found = proposals(entries, canonical=(), native=(), list_prices=lambda name: list_prices(OPENAI, name))
    by_name = {each.native_id: each for each in found}
    assert by_name["gpt-4o"].with_list_prices().cost == {"input": Decimal("0.000001")}
    assert by_name["gpt-4.1"].cost == {}
    assert by_name["gpt-4.1"].with_list_prices().cost == list_prices(OPENAI, "gpt-4.1")
    assert by_name["unheard-of"].with_list_prices().cost == {}
