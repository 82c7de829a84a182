"""What `Idempotency-Key` may be, which requests it takes for the same, and which answers may be repeated."""

from hashlib import blake2b

from agenthub.core.errors import BadRequest

KEEP_SECONDS = 600.0
"""How long a key is remembered after its answer."""

MOST_KEY_CHARACTERS = 255
DIGEST_BYTES = 32

_NOT_SETTLED = frozenset({401, 403, 408, 409, 425, 429})
"""Refusals that speak of a moment, or of the hub's own account, and not of the request."""


def entry_name(caller_id: str, key: str) -> bytes:
    """The 32 bytes under which a caller's key is remembered; the key itself may tell of things. Raises BadRequest."""
    if not 1 <= len(key) <= MOST_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise BadRequest(f"Idempotency-Key takes 1 to {MOST_KEY_CHARACTERS} printable ASCII characters.")
    return blake2b(key.encode(), key=blake2b(caller_id.encode()).digest(), digest_size=DIGEST_BYTES).digest()


def request_fingerprint(endpoint: str, body: bytes) -> bytes:
    """The 32 bytes by which a request is told from another one with the same key."""
    digest = blake2b(b"%d:%b" % (len(endpoint), endpoint.encode()), digest_size=DIGEST_BYTES)
    digest.update(body)
    return digest.digest()


def may_repeat(status: int) -> bool:
    """Whether an answer settles its request: a success, or the caller's own mistake."""
    return 200 <= status < 300 or (400 <= status < 500 and status not in _NOT_SETTLED)
