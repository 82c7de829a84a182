"""Which extra headers an operator may have sent with every request to an upstream."""

import re

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OWN = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "accept-encoding",
    }
)


def header_refusal(name: str, value: str) -> str | None:
    """Why a header can't be sent; None where it can."""
    if not _NAME.fullmatch(name):
        return "This is not the name of a header."
    if name.lower() in _OWN:
        return "The hub sets this header itself; the API key has its own field."
    if not value.isascii() or not (value == "" or value.isprintable()):
        return "The value holds characters that can't be sent in a header."
    return None
