"""Origins of pages, as browsers name them: scheme, host and port."""

import re

NOBODY = "none"
ANYBODY = "*"

_ORIGIN = re.compile(r"https?://[^\s/?#]+")


def origins(setting: str) -> frozenset[str]:
    """The origins of a list with commas, in lower case; none for `none`, and `*` for any. Raises ValueError."""
    names = [name.strip().lower() for name in setting.split(",") if name.strip()]
    if names == [NOBODY]:
        return frozenset()
    for name in names:
        if name != ANYBODY and not _ORIGIN.fullmatch(name):
            raise ValueError(f"must list origins such as https://app.example.com (scheme, host, port), not {name!r}.")
    return frozenset(names)


def origins_refusal(setting: str) -> str:
    """Why a text is no list of origins; "" for one that is."""
    try:
        origins(setting)
    except ValueError as problem:
        return str(problem)
    return ""
