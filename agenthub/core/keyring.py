"""The key ring of this process."""

from functools import lru_cache

from django.conf import settings

from agenthub.core.crypto import KeyRing


def key_ring() -> KeyRing:
    """The ring out of AGENTHUB_ENCRYPTION_KEY."""
    return _ring(settings.ENVIRONMENT.encryption_key)


@lru_cache(maxsize=4)
def _ring(text: str) -> KeyRing:
    return KeyRing.from_text(text)
