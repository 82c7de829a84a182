"""Taking secrets out of texts that upstreams wrote, before anybody stores or shows them."""

import re

SUMMARY_CHARACTERS = 200

_SECRET_SHAPES = re.compile(
    r"(?i)\b(?:bearer\s+)[^\s\"',;]+"  # an Authorization header that was repeated to us
    r"|\b(?:sk|pk|rk|nvapi|gsk|xai|ah|key|api)[-_][A-Za-z0-9*_\-.]{6,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-.]+"
)


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without the given secrets and without what looks like a key or token."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    return _SECRET_SHAPES.sub("[secret]", text)


def response_summary(body: str, secrets: tuple[str, ...] = ()) -> str:
    """The first 200 characters of an upstream's answer on one line, secrets removed."""
    # Redacted before it is cut, so that half a key never slips through at the end.
    return " ".join(redacted(body[:20_000], secrets).replace("\0", " ").split())[:SUMMARY_CHARACTERS]
