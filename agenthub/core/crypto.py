"""The key ring that keeps secrets at rest: AES-256-GCM, several keys, each value names the key that made it."""

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = "v1"
NONCE_BYTES = 12
KEY_ID_LENGTH = 8
_KEY = re.compile(r"[0-9a-fA-F]{64}")


class MalformedKey(ValueError):
    """The text of the key ring is not what it must be."""


class Unreadable(Exception):
    """A stored value that no key of the ring opens."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys in order: the first encrypts, all decrypt."""

    first: str  # the id of the key that encrypts
    _ciphers: dict[str, AESGCM] = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> "KeyRing":
        """The ring in `text`: keys of 64 hex characters, separated by commas. Raises MalformedKey."""
        parts = [part.strip() for part in text.split(",")]
        for number, part in enumerate(parts, start=1):
            if not _KEY.fullmatch(part):
                raise MalformedKey(f"Key {number} of {len(parts)} is not 64 hex characters (it has {len(part)}).")
        keys = [bytes.fromhex(part) for part in parts]
        return cls(_key_id(keys[0]), {_key_id(key): AESGCM(key) for key in keys})

    def seal(self, plain: str, *, bound_to: str) -> str:
        """`plain` encrypted under the first key; it opens only with the same `bound_to`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self.first].encrypt(nonce, plain.encode(), bound_to.encode())
        return f"{VERSION}:{self.first}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, *, bound_to: str) -> str:
        """What was sealed. Raises Unreadable, which says why without saying what."""
        version, _, rest = sealed.partition(":")
        key_id, _, payload = rest.partition(":")
        cipher = self._ciphers.get(key_id)
        if version != VERSION or not payload:
            raise Unreadable("The stored value has a form that this version does not know.")
        if cipher is None:
            raise Unreadable(f"The stored value was made with key {key_id}, which is not in AGENTHUB_ENCRYPTION_KEY.")
        try:
            data = base64.urlsafe_b64decode(payload)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(f"The stored value does not open with key {key_id}: it is damaged or moved.") from None

    def holds(self, key_id: str) -> bool:
        """Whether a key is in the ring, by its id."""
        return key_id in self._ciphers

    def is_current(self, sealed: str) -> bool:
        """Whether a stored value was made with the first key."""
        return sealed.startswith(f"{VERSION}:{self.first}:")


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"agenthub key id" + key).hexdigest()[:KEY_ID_LENGTH]


def masked(secret: str) -> str:
    """A secret as people may see it: its first 6 and last 4 characters, its first 2 alone when shorter than 11."""
    if not secret:
        return ""
    if len(secret) < 11:
        # A key of two or three characters must not be shown whole.
        return secret[: min(2, len(secret) // 2)] + "****"
    return f"{secret[:6]}****{secret[-4:]}"
