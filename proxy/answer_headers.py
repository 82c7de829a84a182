"""Which headers the client gets: the hub's own, and of the upstream's those that are meant for it."""

from functools import lru_cache

from proxy.client import Headers
from proxy.exchange import Exchange

_PASSED = frozenset({b"content-type", b"openai-model", b"openai-processing-ms", b"openai-version", b"content-language"})
"""An allow-list: an upstream's cookies, account names and hop-by-hop headers are nobody's business."""

_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
_NO_BUFFERING = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
KEEP_ALIVE_HEADERS: Headers = [_EVENT_STREAM, *_NO_BUFFERING]


def upstream_headers(headers: Headers, *, content_type: bool = True) -> Headers:
    """What is passed on: content type and processing facts; limits and request id under names of their own, since
    they are the backend's and not the caller's."""
    passed: Headers = []
    for name, value in headers:
        passed_as = _passed_as(name)
        if passed_as is not None and (content_type or name != b"content-type"):
            passed.append((passed_as, value))
    return passed


@lru_cache(maxsize=1024)
def _passed_as(name: bytes) -> bytes | None:
    if name in _PASSED:
        return name
    if name.startswith(b"x-ratelimit-"):
        return b"x-upstream-" + name[2:]
    return b"x-upstream-request-id" if name == b"x-request-id" else None


def answer_headers(exchange: Exchange, upstream: Headers, *, length: int) -> Headers:
    """For a JSON answer of `length` bytes (-1: not known)."""
    headers = exchange.routing_headers() + upstream_headers(upstream)
    if length >= 0:
        headers.append((b"content-length", b"%d" % length))
    return headers


def stream_headers(exchange: Exchange, upstream: Headers) -> Headers:
    """For a stream of events."""
    return [_EVENT_STREAM, *_NO_BUFFERING, *exchange.routing_headers(), *upstream_headers(upstream, content_type=False)]
