"""Fields that the APIs of several apps have in common."""

from decimal import Decimal, InvalidOperation
from typing import Any

from rest_framework import serializers

from agenthub.core.money import picodollars_from_usd, usd_text

DEEPEST = 20


class UsdSerializerField(serializers.Field[Any, Any, Any, Any]):
    """USD: a decimal string in answers; a string or a number in requests."""

    default_error_messages = {
        "invalid": "Give an amount in USD as a string or number, e.g. “0.00000015”.",
        "negative": "An amount can't be negative.",
    }

    def to_representation(self, value: Decimal) -> str:
        """The amount without an exponent."""
        return usd_text(value)

    def to_internal_value(self, data: Any) -> Decimal:
        """The exact amount; a number counts as the decimal that it is written as."""
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        try:
            usd = Decimal(str(data).strip())
            picodollars_from_usd(usd)
        except InvalidOperation:
            self.fail("invalid")
        except ValueError as problem:
            raise serializers.ValidationError(str(problem)) from None
        if usd < 0:
            self.fail("negative")
        return usd


class JsonObjectField(serializers.JSONField):
    """A JSON object that both databases can hold."""

    default_error_messages = {
        "not_an_object": "Give a JSON object, e.g. {{}}.",
        "unstorable": "The object is nested too deeply or holds a NUL character.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """The object, checked."""
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if not _storable(data, DEEPEST):
            self.fail("unstorable")
        return super().to_internal_value(data)


def _storable(value: Any, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all("\0" not in key and _storable(inner, depth - 1) for key, inner in value.items())
    if isinstance(value, list):
        return all(_storable(inner, depth - 1) for inner in value)
    return not (isinstance(value, str) and "\0" in value)
