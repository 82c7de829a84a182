"""The WebSocket protocol class of uvicorn, with the one thing that ASGI has no word for: cutting a connection off."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = "agenthub.abort"


class HubSocketProtocol(WebSocketsSansIOProtocol):
    """Puts a function into the scope that ends the connection at once, also one whose other side does not read.

    A close frame would wait behind all that the other side has not read, for ever.
    """

    async def run_asgi(self) -> None:
        """Serve the connection."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send; an answer of HTTP in place of a handshake completes it, which the class above forgets to note."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True
