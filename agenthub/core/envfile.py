"""AGENTHUB_ENV_FILE: variables in a file, so that a hub that runs can be given others by a reload.

A process can't see what its environment has become since it started; a file it can read again. What the environment
itself sets wins over the file.
"""

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from agenthub.core.env import EnvError

FILE_VARIABLE = "AGENTHUB_ENV_FILE"
MOST_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def file_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the file that `environ` names; none where it names no file. Raises EnvError."""
    name = environ.get(FILE_VARIABLE, "").strip()
    if not name:
        return {}
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise EnvError(f"{FILE_VARIABLE}: {name} can't be read ({reason}).") from None
    if len(data) > MOST_BYTES:
        raise EnvError(f"{FILE_VARIABLE}: {name} is larger than {MOST_BYTES} bytes.")
    return parsed(text, name)


def parsed(text: str, name: str) -> dict[str, str]:
    """`NAME=value` lines; empty ones and those that begin with # count for nothing. Raises EnvError.

    A value may stand in single or double quotes, which are taken off; nothing inside is expanded.
    """
    found: dict[str, str] = {}
    for number, whole in enumerate(text.splitlines(), start=1):
        line = whole.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not _NAME.fullmatch(key) or "\0" in value:
            # The line itself is not shown: it may hold a secret.
            raise EnvError(f"{FILE_VARIABLE}: line {number} of {name} is not NAME=value.")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[key] = value
    return found


class FileEnvironment:
    """An environment that has been completed from the file, and can be completed again when the file has changed."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Complete `environ`. Raises EnvError."""
        self._own = dict(environ)
        environ.update(self.read())

    def read(self) -> dict[str, str]:
        """The whole environment with the file as it is now. Raises EnvError."""
        return {**file_variables(self._own), **self._own}
