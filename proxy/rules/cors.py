"""Which pages of other origins may call /v1 from a browser. Nothing here depends on cookies, so none are allowed."""

import re

from agenthub.core.origins import origins

Headers = list[tuple[bytes, bytes]]

ANYBODY = b"*"
PREFLIGHT_SECONDS = 600
_EXPOSED = (
    b"x-request-id, x-agenthub-backend, x-agenthub-pool, x-agenthub-attempts, x-agenthub-cache, retry-after, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~ ,-]{0,2000}")


def allowed_origins(setting: str) -> frozenset[bytes]:
    """The origins of the setting `cors_allowed_origins`. Raises ValueError."""
    return frozenset(name.encode() for name in origins(setting))


def answer_headers(origin: bytes | None, allowed: frozenset[bytes]) -> Headers:
    """What an answer to a page of `origin` carries; nothing but `vary` where it may not read it."""
    if not allowed:
        return []
    if origin is None or not _is_allowed(origin, allowed):
        return [(b"vary", b"origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


def preflight_headers(origin: bytes | None, asked: bytes, methods: list[str], allowed: frozenset[bytes]) -> Headers:
    """The answer to a browser that asks beforehand; `asked` are the header names that the page wants to send."""
    headers = [(b"allow", ", ".join([*methods, "OPTIONS"]).encode()), *answer_headers(origin, allowed)]
    if len(headers) > 2:
        headers.append((b"access-control-allow-methods", ", ".join(methods).encode()))
        headers.append((b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS))
        if asked and _HEADER_NAMES.fullmatch(asked):
            headers.append((b"access-control-allow-headers", asked))
    return headers


def _is_allowed(origin: bytes, allowed: frozenset[bytes]) -> bool:
    return ANYBODY in allowed or origin.lower() in allowed
