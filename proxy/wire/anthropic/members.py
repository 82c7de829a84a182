"""Reading the members of decoded JSON that may hold anything: each reader names the field that is wrong."""

from collections.abc import Set
from typing import Any

import msgspec

from proxy.wire.unreadable import UNREADABLE
from proxy.wire.untranslatable import Untranslatable

Json = dict[str, Any]

_MOST_NAME_CHARACTERS = 100


def at(field: str, part: str | int) -> str:
    """The path of a part of a field. Names that come from outside are cut to a readable length."""
    name = str(part)[:_MOST_NAME_CHARACTERS] or '""'
    return f"{field}.{name}" if field else name


def refuse(field: str, why: str) -> Untranslatable:
    """An Untranslatable whose message names its field."""
    return Untranslatable(field, f"{field}: {why}")


def as_object(found: object, field: str) -> Json:
    """An object. Raises Untranslatable, as all of these do."""
    if not isinstance(found, dict):
        raise refuse(field, "must be an object.")
    return found


def as_list(found: object, field: str) -> list[Any]:
    """A list."""
    if not isinstance(found, list):
        raise refuse(field, "must be a list.")
    return found


def as_text(found: object, field: str) -> str:
    """A string, perhaps empty."""
    if not isinstance(found, str):
        raise refuse(field, "must be a string.")
    return found


def as_name(found: object, field: str) -> str:
    """A string that is not empty."""
    if not isinstance(found, str) or not found:
        raise refuse(field, "must be a non-empty string.")
    return found


def as_flag(found: object, field: str) -> bool:
    """True or false."""
    if not isinstance(found, bool):
        raise refuse(field, "must be true or false.")
    return found


def as_count(found: object, field: str) -> int:
    """A whole number above zero."""
    if type(found) is not int or found < 1:
        raise refuse(field, "must be a whole number of at least 1.")
    return found


def as_number(found: object, field: str) -> int | float:
    """A number, whole or not."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise refuse(field, "must be a number.")
    return found


def as_texts(found: object, field: str) -> list[str]:
    """A list of strings."""
    return [as_text(each, at(field, index)) for index, each in enumerate(as_list(found, field))]


def optional_object(found: object, field: str) -> Json:
    """An object; empty where there is none."""
    return {} if found is None else as_object(found, field)


def optional_list(found: object, field: str) -> list[Any]:
    """A list; empty where there is none."""
    return [] if found is None else as_list(found, field)


def optional_text(found: object, field: str) -> str:
    """A string; empty where there is none."""
    return "" if found is None else as_text(found, field)


def only(found: Json, known: Set[str], field: str) -> None:
    """Refuse members that we don't know and that say something: null says nothing."""
    for name, value in found.items():
        if value is not None and name not in known:
            raise refuse(at(field, name), "has no place in the format that the model is served in.")


def json_text(found: object, field: str) -> str:
    """An object as the text of its JSON."""
    try:
        return msgspec.json.encode(found).decode()
    except (RecursionError, ValueError, TypeError, OverflowError):
        raise refuse(field, "can't be written as JSON.") from None


def json_object(text: str) -> Json | None:
    """The object that a text is the JSON of; empty for blank text, None if it is no object."""
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text)
    except (*UNREADABLE, ValueError):
        return None
    return found if isinstance(found, dict) else None
