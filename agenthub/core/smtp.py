"""The server for mail out of its URL."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """Where mail is handed in, and how."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: bool = False


def smtp_settings(url: str | None) -> Smtp:
    """What `smtps://user:password@host:465` and its like say; nowhere for None."""
    if url is None:
        return Smtp(host="localhost", port=25)
    parsed = urlsplit(url)
    return Smtp(
        host=parsed.hostname or "localhost",
        port=parsed.port or PORTS[parsed.scheme],
        user=unquote(parsed.username or ""),
        password=unquote(parsed.password or ""),
        tls=parsed.scheme == "smtps",
        starttls=parsed.scheme == "smtp+starttls",
    )
