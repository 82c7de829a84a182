"""Columns that the house has in common."""

from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from agenthub.core.ids import short_id
from agenthub.core.money import picodollars_from_usd, usd_from_picodollars


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

    # For the type checker: what may be assigned and looked up.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any
    _pyi_lookup_exact_type: Any

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
