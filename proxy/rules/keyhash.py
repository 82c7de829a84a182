"""Client keys are stored and looked up as keyed hashes: a stolen database opens no door."""

import hashlib

PEPPER_LABEL = b"agenthub client keys v1"


def pepper(secret_key: str) -> bytes:
    """The hashing secret, derived from AGENTHUB_SECRET_KEY: not the encryption key ring, whose rotation must not
    kill keys."""
    return hashlib.blake2b(PEPPER_LABEL, key=hashlib.sha512(secret_key.encode()).digest(), digest_size=32).digest()


def client_key_digest(key: str, pepper: bytes) -> bytes:
    """The 32 bytes under which a client key is known."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), key=pepper, digest_size=32).digest()
