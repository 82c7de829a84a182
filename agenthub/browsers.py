"""Browsers at /v1: what pages of other origins may do, and OPTIONS. Around the proxy and Django alike."""

from collections.abc import Iterable

from proxy.asgi_client import Message, Send
from proxy.rules.cors import answer_headers, preflight_headers
from proxy.rules.endpoints import methods_of

READ_METHODS = ["GET", "HEAD"]


def header(scope: Message, name: bytes) -> bytes | None:
    """A request header, by its name in lower case."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value for given, value in headers if given == name), None)


async def answer_options(scope: Message, send: Send, *, allowed: frozenset[bytes], reads: bool) -> None:
    """OPTIONS: which methods there are, and whether a page of another origin may use them."""
    methods = READ_METHODS if reads else methods_of(scope["path"])
    headers = preflight_headers(
        header(scope, b"origin"), header(scope, b"access-control-request-headers") or b"", methods, allowed
    )
    status = 204 if methods else 404
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def readable_by_pages(scope: Message, send: Send, allowed: frozenset[bytes]) -> Send:
    """`send`, with the headers that let a page of an allowed origin read the answer."""
    more = answer_headers(header(scope, b"origin"), allowed)

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return send_on
