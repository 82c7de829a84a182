"""Bounds what Django is sent: it would keep a body of any size on disk before it looks who sends it."""

from proxy.asgi_client import Message, Receive, Send

MOST_BYTES = 64 * 1024 * 1024
MOST_BYTES_OF_STRANGERS = 64 * 1024
"""For the addresses that are open to everybody."""

OPEN = ("/ping/",)

MOST_BYTES_OF_STATES = 257 * 1024 * 1024
"""For the addresses that take checkpoints; checkpoint_max_bytes says how much is kept."""

STATES = ("/api/agent/", "/api/admin/agents/", "/api/admin/checkpoints")


def most_bytes(path: str) -> int:
    """How long a body to this address may be."""
    if path.startswith(OPEN):
        return MOST_BYTES_OF_STRANGERS
    return MOST_BYTES_OF_STATES if path.startswith(STATES) else MOST_BYTES


def announced_bytes(scope: Message) -> int:
    """How long the body will be, as its sender says; 0 if it does not."""
    given = dict(scope["headers"]).get(b"content-length", b"0")
    return int(given) if given.isdigit() else 0


async def refuse(send: Send, most: int) -> None:
    """Answer that the body is too long."""
    body = b"The body is longer than %d bytes.\n" % most
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bounded(receive: Receive, most: int) -> Receive:
    """Hang up on a sender who sends more without having said so."""
    left = most

    async def receive_bounded() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                return {"type": "http.disconnect"}
        return message

    return receive_bounded
