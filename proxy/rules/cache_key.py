"""Which requests have the same answer, and which answers may be kept for others.

Two requests are the same if everything that decides the answer is the same, byte for byte: no spelling of the same JSON
in another way is looked through. Left out are only `model`, which counts as the canonical model, and `stream` and
`stream_options.include_usage`, which count as what they ask for. `user`, `metadata`, `store` and members that nobody
knows yet count: a provider may answer by them.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import blake2b

import msgspec

from agenthub.core.errors import BadRequest
from proxy.wire.unreadable import UNREADABLE

KEY_BYTES = 32
CACHE_HEADER = b"x-agenthub-cache"

SHARED = "shared"
"""The scope of answers that any caller of the model may get."""

_SPOKEN_FOR = frozenset({"model", "stream", "stream_options"})
_MATTERING = (b"openai-", b"anthropic-", b"accept-language")
"""Request headers that go on to the backend and may change its answer."""

_ALWAYS_THE_SAME = frozenset({"embeddings"})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class CacheUse(Enum):
    """What a request has to do with the cache."""

    NONE = 0
    FULL = 1
    REFRESH = 2  # the answer is not taken from it, but put into it

    @property
    def reads(self) -> bool:
        """Whether an answer that is there may be taken."""
        return self is CacheUse.FULL

    @property
    def writes(self) -> bool:
        """Whether the answer may be put there."""
        return self is not CacheUse.NONE


def private_scope(caller_id: str) -> str:
    """The scope of answers that only the client key itself may get again."""
    return f"key:{caller_id}"


def may_cache(*, endpoint: str, envelope: Mapping[str, bytes], header: Mapping[bytes, bytes]) -> CacheUse:
    """What the request has to do with the cache, where its key or model has one.

    `header` has names in lower case. Raises BadRequest if `x-agenthub-cache` is neither on, off nor refresh.
    """
    asked = header.get(CACHE_HEADER, b"").strip().lower()
    if asked == b"off":
        return CacheUse.NONE
    if asked == b"refresh":
        return CacheUse.REFRESH
    if asked not in (b"", b"on"):
        raise BadRequest("The header x-agenthub-cache takes on, off or refresh.")
    repeatable = bool(asked) or endpoint in _ALWAYS_THE_SAME or _is_zero(envelope.get("temperature"))
    return CacheUse.FULL if repeatable else CacheUse.NONE


def _is_zero(raw: bytes | None) -> bool:
    if raw is None:
        return False
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        return False
    return type(value) in (int, float) and value == 0


def cache_key(
    *,
    scope: str,
    endpoint: str,
    model: str,
    envelope: Mapping[str, bytes],
    stream: bool,
    wants_usage: bool,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """The 32 bytes that requests with the same answer have in common, and no others.

    `model` is the canonical one, `envelope` the members of the body as they came, `headers` those of the request with
    names in lower case.
    """
    digest = blake2b(digest_size=KEY_BYTES)
    options = envelope.get("stream_options") if stream else None
    for group in (
        [scope.encode(), endpoint.encode(), _encoded(model), b"%d%d" % (stream, wants_usage)],
        _members(envelope, without=_SPOKEN_FOR),
        _other_options(options) if options is not None else [],
        [part for pair in sorted(headers) if pair[0].startswith(_MATTERING) for part in pair],
    ):
        # Counts and lengths stand in front, so that no part can pretend to be two, or to belong elsewhere.
        digest.update(b"%d;" % len(group))
        for part in group:
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.digest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _members(members: Mapping[str, bytes], *, without: frozenset[str]) -> list[bytes]:
    names = sorted(members.keys() - without)
    return [part for name in names for part in (_encoded(name), members[name])]


def _other_options(raw: bytes) -> list[bytes]:
    """The options of a stream beside `include_usage`: some providers put more into it when asked."""
    try:
        return _members(_MEMBERS.decode(raw), without=frozenset({"include_usage"}))
    except UNREADABLE:
        return [raw]
