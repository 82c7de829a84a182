"""Who calls? Out of the snapshot in memory: no database, also when it is away."""

from collections.abc import Mapping

from agenthub.core.errors import InvalidKey
from proxy.rules.caller import ANYONE, Caller
from proxy.rules.keyhash import client_key_digest
from proxy.snapshot import Snapshot

MOST_KEY_CHARACTERS = 512


def presented_key(header: Mapping[bytes, bytes]) -> str | None:
    """The key of `Authorization: Bearer …` or `x-api-key`; None without one. Header names are in lower case."""
    bearer = header.get(b"authorization")
    if bearer is not None and bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip().decode("latin-1")
    other = header.get(b"x-api-key")
    return other.strip().decode("latin-1") if other is not None else None


def caller_of(key: str | None, snapshot: Snapshot, *, now: float) -> Caller:
    """The caller with this key. Raises InvalidKey.

    The key is looked up by its keyed hash, so that the time of the look-up tells nothing about any key.
    """
    if snapshot.open:
        return ANYONE
    if not key:
        raise InvalidKey("No client key was given. Send it as 'Authorization: Bearer <key>'.")
    if len(key) > MOST_KEY_CHARACTERS:
        raise InvalidKey("The client key is not valid.")
    caller = snapshot.callers.get(client_key_digest(key, snapshot.pepper))
    if caller is None:
        raise InvalidKey("The client key is not valid.")
    if not caller.usable(now):
        raise InvalidKey(f"The client key {caller.prefix}… is disabled or has expired.")
    return caller
