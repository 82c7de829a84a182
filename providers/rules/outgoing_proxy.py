"""What can be the URL of an outgoing proxy, and how people may see it."""

import re
from urllib.parse import SplitResult, urlsplit

from agenthub.core.addresses import host_refusal

STARS = "***"


def outgoing_proxy_refusal(url: str, *, allow_private: bool) -> str | None:
    """Why `url` can't be an outgoing proxy; None where it can. The answer never repeats what may hold a password."""
    parsed = _split(url)
    if parsed is None:
        return "This is not a URL; give one like http://proxy.example:3128."
    if parsed.scheme.startswith("socks"):
        return "SOCKS proxies are not spoken to; give an HTTP proxy, http:// or https://."
    if parsed.scheme not in ("http", "https"):
        return "The URL of a proxy must begin with http:// or https://."
    if not parsed.hostname or not url.isascii() or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        return "The URL names no host; give one like http://proxy.example:3128, with special characters as %XX."
    if parsed.path not in ("", "/") or parsed.query or parsed.fragment:
        return "The URL of a proxy ends with its port; there is no path, “?” or “#”."
    if parsed.username == STARS:
        return "The stars stand for user name and password, which are not shown; enter them again with the new URL."
    return host_refusal(parsed.hostname, allow_private=allow_private)


def outgoing_proxy_masked(url: str) -> str:
    """The URL with scheme, host and port, and stars where it has a user name or password."""
    parsed = _split(url)
    if parsed is None:
        return STARS if url else ""
    place = parsed.netloc.rpartition("@")[2]
    return f"{parsed.scheme}://{f'{STARS}@' if '@' in parsed.netloc else ''}{place}"


def _split(url: str) -> SplitResult | None:
    try:
        parsed = urlsplit(url)
        _ = parsed.hostname, parsed.port
    except ValueError:
        return None
    return parsed if parsed.netloc or parsed.scheme else None
