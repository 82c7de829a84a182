"""Columns that the house has in common."""

from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from agenthub.core.ids import short_id

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


class ShortIdField(models.CharField):  # type: ignore[type-arg]
    """A primary key of a prefix and 12 random hex characters, e.g. `bkd_9f86d081884c`."""

    description = "a short id with a prefix"

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        if prefix:
            kwargs |= {"default": partial(short_id, prefix)}
        super().__init__(**{"max_length": 16, "primary_key": True, "editable": False} | kwargs)

    def deconstruct(self) -> Any:
        """In migrations it is the plain column, so that they need no code of ours."""
        name, _, args, kwargs = super().deconstruct()
        kwargs.pop("default", None)
        return name, "django.db.models.CharField", args, kwargs


class UsdField(models.BigIntegerField):  # type: ignore[type-arg]
    """USD as an exact Decimal in Python and whole picodollars in the database, so that sums are exact everywhere."""

    description = "US dollars, exact to a picodollar"

    def deconstruct(self) -> Any:
        """In migrations it is the plain column, so that they need no code of ours."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BigIntegerField", args, kwargs

    def from_db_value(self, value: Any, *_: object) -> Decimal | None:
        """Stored picodollars, or a sum of them, as USD."""
        return None if value is None else usd_from_picodollars(int(value))

    def to_python(self, value: Any) -> Decimal | None:
        """USD out of a Decimal, text or number; ValidationError for anything else."""
        if value is None or isinstance(value, Decimal):
            return value
        try:
            return Decimal(str(value).strip())
        except InvalidOperation:
            raise ValidationError(f"“{value}” is not an amount in USD.", code="invalid") from None

    def get_prep_value(self, value: Any) -> int | None:
        """USD as the picodollars that are stored."""
        usd = self.to_python(value)
        return None if usd is None else picodollars_from_usd(usd)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        """Refuse amounts that the column can't hold exactly."""
        super().validate(value, model_instance)
        if value is not None:
            try:
                picodollars_from_usd(value)
            except ValueError as problem:
                raise ValidationError(str(problem), code="invalid") from None

    def run_validators(self, value: Any) -> None:
        """The range of the column is checked by `validate`, in picodollars; the integer validators would see USD."""
