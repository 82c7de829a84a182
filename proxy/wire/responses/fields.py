"""Members of a request that somebody else wrote, read by type. What is of another type is refused by its path."""

from collections.abc import Collection
from typing import Any

from proxy.wire.untranslatable import Untranslatable

Json = dict[str, Any]

MOST_LEVELS = 100
"""Schemas that are nested deeper could not be written into an answer again."""
_MOST_NAME_CHARACTERS = 100


def at(path: str, step: str | int) -> str:
    """The path of a member or of an element."""
    step = str(step)[:_MOST_NAME_CHARACTERS]
    return f"{path}.{step}" if path else step


def no_place(path: str) -> Untranslatable:
    """The refusal of what the other format has no place for."""
    return Untranslatable(path, f"{path} can't be translated for the backends of this model. Leave it out.")


def _wrong(path: str, wanted: str) -> Untranslatable:
    return Untranslatable(path, f"{path} must be {wanted}.")


def as_object(value: object, path: str) -> Json:
    """The value if it is an object. Raises Untranslatable, as all of these do."""
    if not isinstance(value, dict):
        raise _wrong(path, "an object")
    return value


def as_list(value: object, path: str) -> list[Any]:
    """The value if it is a list."""
    if not isinstance(value, list):
        raise _wrong(path, "a list")
    return value


def as_text(value: object, path: str) -> str:
    """The value if it is a string."""
    if not isinstance(value, str):
        raise _wrong(path, "a string")
    return value


def as_flag(value: object, path: str) -> bool:
    """The value if it is true or false."""
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    return value


def as_number(value: object, path: str) -> float:
    """The value if it is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, "a number")
    return value


def as_whole(value: object, path: str) -> int:
    """The value if it is a whole number."""
    if type(value) is not int:
        raise _wrong(path, "a whole number")
    return value


def as_schema(value: object, path: str) -> Json:
    """The value if it is an object that can be written again, however it is built."""
    found = as_object(value, path)
    if not is_shallow(found):
        raise Untranslatable(path, f"{path} is nested deeper than {MOST_LEVELS} levels.")
    return found


def as_labels(value: object, path: str) -> dict[str, str]:
    """The value if it is an object of strings."""
    return {name: as_text(each, at(path, name)) for name, each in as_object(value, path).items()}


def is_shallow(value: object) -> bool:
    """Whether no more than MOST_LEVELS objects and lists lie in each other."""
    level = [value]
    for _ in range(MOST_LEVELS):
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        if not below:
            return True
        level = below
    return False


def refuse_unknown(found: Json, known: Collection[str], path: str = "") -> None:
    """Refuse every member that is neither known nor null."""
    for name, value in found.items():
        if value is not None and name not in known:
            raise no_place(at(path, name))


def refuse_unless(found: Json, harmless: dict[str, tuple[object, ...]], path: str = "") -> None:
    """Refuse members that have no place in the other format, unless they say what goes without saying."""
    for name, values in harmless.items():
        value = found.get(name)
        if value is not None and value not in values:
            raise no_place(at(path, name))
