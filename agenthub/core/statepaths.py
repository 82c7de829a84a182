"""Paths into JSON values, such as `messages.*.headers.authorization`: names and places with dots between. Pure."""

ANY = "*"
NONE = "none"


def paths_refusal(text: str) -> str:
    """Why a text is no list of paths, to follow the name of a setting; "" if it is one."""
    for path in paths_in(text):
        if not all(path):
            return f"must be paths such as config.api_key with commas between, not {'.'.join(path)!r}."
    return ""


def paths_in(text: str) -> tuple[tuple[str, ...], ...]:
    """The paths of a list with commas between; `none` holds none."""
    words = [word.strip() for word in text.split(",")]
    return tuple(tuple(word.split(".")) for word in words if word and word != NONE)
