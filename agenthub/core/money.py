"""Exact amounts of money. Pure."""

from decimal import Decimal

PICODOLLAR_DIGITS = 12
"""Money is stored in whole picodollars (1e-12 USD): one millionth of a dollar per million tokens is one picodollar."""

LARGEST_PICODOLLARS = 2**63 - 1


def usd_from_picodollars(picodollars: int) -> Decimal:
    """The exact amount in USD."""
    return Decimal(picodollars).scaleb(-PICODOLLAR_DIGITS)


def picodollars_from_usd(usd: Decimal) -> int:
    """The whole picodollars of an amount in USD; ValueError where it is finer than that, too large, or no number."""
    scaled = usd.scaleb(PICODOLLAR_DIGITS) if usd.is_finite() else usd
    if not scaled.is_finite() or abs(scaled) > LARGEST_PICODOLLARS:
        raise ValueError(f"{usd} is not an amount that can be stored; give one below 9 million USD.")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{usd} USD is finer than a picodollar; give at most {PICODOLLAR_DIGITS} decimals.")
    return int(scaled)


def usd_text(usd: Decimal) -> str:
    """An amount as plain decimal text without an exponent or trailing zeros, as answers of the API carry it."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
