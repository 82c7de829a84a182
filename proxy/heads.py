"""The heads of upstream requests, built once per backend and endpoint."""

from functools import lru_cache

from agenthub.core.version import VERSION
from providers.rules.table import BackendEntry
from proxy.rules.endpoints import Endpoint
from proxy.upstream import Origin, origin_of

_FORWARDED = (b"openai-", b"anthropic-")
_FORWARDED_NAMES = frozenset({b"traceparent", b"tracestate", b"accept-language"})
_NOT_FORWARDED = frozenset({b"openai-organization", b"openai-project"})  # the client's account, not the backend's
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})

USER_AGENT = f"agenthub/{VERSION}"


class Heads:
    """Origin and prebuilt request head per backend and endpoint; emptied whenever the routing table changes."""

    def __init__(self) -> None:
        self._heads: dict[tuple[str, str], tuple[BackendEntry, Origin, bytes]] = {}

    def clear(self) -> None:
        """Forget all heads, and with them the keys of backends that are gone."""
        self._heads.clear()

    def head(self, backend: BackendEntry, endpoint: Endpoint) -> tuple[Origin, bytes]:
        """The origin, and request line and headers as far as they are the same for every request."""
        known = self._heads.get((backend.id, endpoint.name))
        if known is None or known[0] is not backend:
            origin, path = origin_of(backend.base_url)
            known = (backend, origin, _head(backend, origin, f"{path}/{endpoint.name}"))
            self._heads[backend.id, endpoint.name] = known
        return known[1], known[2]

    @staticmethod
    def rest(headers: list[tuple[bytes, bytes]], length: int) -> bytes:
        """The headers that differ: what of the client's own goes on, and the length of the body."""
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if _forwarded(name)]
        return b"%bcontent-length: %d\r\n\r\n" % (b"".join(lines), length)


@lru_cache(maxsize=1024)
def _forwarded(name: bytes) -> bool:
    return (name.startswith(_FORWARDED) and name not in _NOT_FORWARDED) or name in _FORWARDED_NAMES


def _head(backend: BackendEntry, origin: Origin, path: str) -> bytes:
    headers = {
        "user-agent": USER_AGENT,
        "accept": "application/json, text/event-stream",
        # Events are read as they come; a compressed stream could only be read late.
        "accept-encoding": "identity",
        "content-type": "application/json",
    }
    if backend.api_key:
        headers["authorization"] = f"Bearer {backend.api_key}"
    headers |= {name.lower(): value for name, value in backend.extra_headers if name.lower() not in _OWN}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if "\r" not in value and "\n" not in value]
    start = f"POST {path} HTTP/1.1\r\n".encode("ascii") + b"host: " + origin.authority + b"\r\n"
    return start + "".join(lines).encode("utf-8")
