"""Typed readers of environment variables: what is wrong stops the start and names its variable. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_HOST = re.compile(r"[A-Za-z0-9._:%\[\]-]{1,255}")


class EnvError(ValueError):
    """A variable that can't be used as it is; the message names it and says what it takes."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads variables out of `environ`; a variable that is set to nothing counts as not set.

    `sidecar` is the older name that is read where the variable itself is not set. Every reader raises EnvError.
    """

    environ: Mapping[str, str]

    def raw(self, name: str, *, sidecar: str = "") -> tuple[str, str | None]:
        """The name of the variable that counts and its text, None where neither is set."""
        for variable in (name, sidecar):
            value = self.environ.get(variable, "").strip() if variable else ""
            if value:
                return variable, value
        return name, None

    def text(self, name: str, *, sidecar: str = "") -> str | None:
        """One line of text."""
        variable, value = self.raw(name, sidecar=sidecar)
        if value is not None and not value.isprintable():
            raise EnvError(f"{variable} must be one line of printable text.")
        return value

    def integer(self, name: str, default: int, *, at_least: int, at_most: int, sidecar: str = "") -> int:
        """A whole number within a range."""
        variable, value = self.raw(name, sidecar=sidecar)
        if value is None:
            return default
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value) or not at_least <= int(value) <= at_most:
            raise EnvError(f"{variable} must be a whole number between {at_least} and {at_most}, not {value!r}.")
        return int(value)

    def port(self, name: str, default: int, *, sidecar: str = "") -> int:
        """A TCP port; 0 has a meaning of its own for each variable."""
        return self.integer(name, default, at_least=0, at_most=65_535, sidecar=sidecar)

    def boolean(self, name: str, *, default: bool) -> bool:
        """A switch: true, yes, on, 1, or false, no, off, 0."""
        variable, value = self.raw(name)
        if value is None:
            return default
        if value.lower() not in _SWITCH:
            raise EnvError(f"{variable} must be true or false, not {value!r}.")
        return _SWITCH[value.lower()]

    def choice(self, name: str, default: str, choices: tuple[str, ...], *, sidecar: str = "") -> str:
        """One of a few words; upper and lower case count as the same."""
        variable, value = self.raw(name, sidecar=sidecar)
        if value is None:
            return default
        for known in choices:
            if known.lower() == value.lower():
                return known
        raise EnvError(f"{variable} must be one of {', '.join(choices)}, not {value!r}.")

    def host(self, name: str, default: str, *, sidecar: str = "") -> str:
        """A host name or an address to bind."""
        variable, value = self.raw(name, sidecar=sidecar)
        if value is None:
            return default
        if not _HOST.fullmatch(value):
            raise EnvError(f"{variable} must be a host name or an address, not {value!r}.")
        return value.strip("[]")

    def names(self, name: str) -> tuple[str, ...]:
        """A list of words separated by commas."""
        value = self.text(name)
        return tuple(part.strip() for part in (value or "").split(",") if part.strip())

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        """An address with one of the given schemes; its text is never repeated in an error, it may hold a password."""
        variable, value = self.raw(name)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.netloc) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable or not value.isprintable():
            raise EnvError(f"{variable} must be an address that begins with {' or '.join(s + ':' for s in schemes)}.")
        return value

    def path(self, name: str, default: Path, *, sidecar: str = "") -> Path:
        """A path, made absolute; `~` is the home folder."""
        variable, value = self.raw(name, sidecar=sidecar)
        if value is not None and "\0" in value:
            raise EnvError(f"{variable} must be a path.")
        return (Path(value) if value is not None else default).expanduser().absolute()
