"""Time zones by name."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo


def time_zone(name: str) -> tzinfo:
    """The time zone of this name in the tz database, e.g. Europe/Berlin. Raises ValueError.

    UTC is there also on a machine without the database.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no name, the name of a folder such as “Europe”, and none of the database
        raise ValueError(
            f"must be the name of a time zone that this machine's tzdata knows, such as Europe/Berlin, not {name!r}."
        ) from None


def time_zone_refusal(name: str) -> str:
    """Why a name is not that of a time zone; "" for one that is."""
    try:
        time_zone(name)
    except ValueError as problem:
        return str(problem)
    return ""
