"""Agent tokens: `aht_<number of the agent>_<43 characters>`, of which only the SHA-256 is kept.

The random part has 256 bits, so that a plain hash is enough: nobody can try them all.
"""

import re
from hashlib import sha256

PREFIX = "aht_"
RANDOM_BYTES = 32
HINT_CHARACTERS = 4

_TOKEN = re.compile(r"aht_([1-9][0-9]{0,18})_[A-Za-z0-9_-]{43}\Z")


def token_text(agent_id: int, random_part: str) -> str:
    """The token as its agent is given it."""
    return f"{PREFIX}{agent_id}_{random_part}"


def token_agent_id(token: str) -> int | None:
    """The number of the agent whom the token says it is of; None for a text that is no token."""
    found = _TOKEN.match(token)
    return int(found[1]) if found is not None else None


def token_digest(token: str) -> bytes:
    """What is kept of it."""
    return sha256(token.encode()).digest()


def token_hint(token: str) -> str:
    """Its last characters, by which people tell tokens apart."""
    return token[-HINT_CHARACTERS:]
