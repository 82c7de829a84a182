"""The heads of upstream requests, built once per backend and path."""

from functools import lru_cache

from agenthub.core.version import VERSION
from providers.rules.azure import api_version_of, azure_path
from providers.rules.probing import ANTHROPIC_VERSION, auth_headers
from providers.rules.table import ApiKind, BackendEntry, Candidate
from proxy.client import Headers
from proxy.upstream import Origin, origin_of

_NOT_FORWARDED = frozenset({b"openai-organization", b"openai-project"})  # the client's account, not the backend's
_FORWARDED_NAMES = frozenset({b"traceparent", b"tracestate", b"accept-language"})
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_VERSION = b"anthropic-version"

WITHOUT_DEPLOYMENT = "files"

USER_AGENT = f"agenthub/{VERSION}"
JSON = "application/json"


class Heads:
    """Origin and prebuilt request head per backend and path; emptied whenever the routing table changes."""

    def __init__(self) -> None:
        self._heads: dict[tuple[str, str, str], tuple[BackendEntry, Origin, bytes]] = {}

    def clear(self) -> None:
        """Forget all heads, and with them the keys of backends that are gone."""
        self._heads.clear()

    def head(self, candidate: Candidate, path: str) -> tuple[Origin, bytes]:
        """The origin, and request line and headers of a POST of JSON, as far as they are the same for every request.

        `path` is what follows the base URL.
        """
        backend = candidate.backend
        # Azure has the model in the path.
        key = (backend.id, path, candidate.mapping.native_id if backend.api is ApiKind.AZURE_OPENAI else "")
        known = self._heads.get(key)
        if known is None or known[0] is not backend:
            known = (backend, *special_head(candidate, path, method="POST", content_type=JSON))
            self._heads[key] = known
        return known[1], known[2]

    @staticmethod
    def rest(backend: BackendEntry, headers: Headers, length: int) -> bytes:
        """The headers that differ: what of the client's own goes on, and the length of the body."""
        prefix = b"anthropic-" if backend.api is ApiKind.ANTHROPIC_MESSAGES else b"openai-"
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if _forwarded(name, prefix)]
        if prefix == b"anthropic-" and not _says_version(backend, headers):
            lines.append(b"%b: %b\r\n" % (_VERSION, ANTHROPIC_VERSION.encode()))
        return b"%bcontent-length: %d\r\n\r\n" % (b"".join(lines), length)


def _says_version(backend: BackendEntry, headers: Headers) -> bool:
    return any(name == _VERSION for name, _ in headers) or any(
        name.lower().encode() == _VERSION for name, _ in backend.extra_headers
    )


@lru_cache(maxsize=1024)
def _forwarded(name: bytes, prefix: bytes) -> bool:
    return (name.startswith(prefix) and name not in _NOT_FORWARDED) or name in _FORWARDED_NAMES


def special_head(candidate: Candidate, path: str, *, method: str, content_type: str) -> tuple[Origin, bytes]:
    """The origin, and the start of a request that is made only now and then."""
    backend = candidate.backend
    origin, base_path = origin_of(backend.base_url, backend.way)
    headers = {
        "user-agent": USER_AGENT,
        "accept": "application/json, text/event-stream, */*",
        # Events are read as they come; a compressed stream could only be read late.
        "accept-encoding": "identity",
    }
    if content_type:
        headers["content-type"] = content_type
    if backend.api_key:
        headers |= {name.lower(): value for name, value in auth_headers(backend.api, backend.api_key).items()}
    # The version is the client's own where it says one.
    headers.pop("anthropic-version", None)
    headers |= {name.lower(): value for name, value in backend.extra_headers if name.lower() not in _OWN}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if "\r" not in value and "\n" not in value]
    whole = f"{base_path}/{path}"
    if backend.api is ApiKind.AZURE_OPENAI:
        # A file or list belongs to no deployment, whatever the model of the request is called.
        deployment = candidate.mapping.native_id if not path.startswith(WITHOUT_DEPLOYMENT) else ""
        whole = azure_path(base_path, path, deployment, api_version_of(candidate.mapping))
    target = origin.target(whole.encode("ascii"))
    start = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), target, origin.authority)
    return origin, start + origin.proxy_headers + "".join(lines).encode("utf-8")
