"""A web process: uvicorn on the socket that `agenthub up` has bound."""

import asyncio
import os
import socket
from contextlib import suppress

import uvicorn
from django.conf import settings

from agenthub.asgi import application  # first: it sets up Django, which models need
from agenthub.up.inherited import READY, STOPPING, listening_socket, tell, wait_at_gate
from proxy import runtime
from proxy.shortway import ShortWayProtocol

OTHER_REQUESTS_SECONDS = 5
"""How long pages and the management API may take to finish after the proxy's requests have ended."""


class WebServer(uvicorn.Server):
    """Tells the parent when it serves and when it stops, and lets running requests finish before it stops listening.

    While they do, new requests are answered 503 by the proxy rather than refused without a word.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            tell(os.environ, READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new requests, wait for those under way as long as shutdown_grace_seconds says, then stop."""
        proxy = runtime.current()
        if proxy is not None:
            grace = proxy.snapshot.settings.shutdown_grace_seconds
            tell(os.environ, STOPPING, grace + OTHER_REQUESTS_SECONDS)
            proxy.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await proxy.idle()
        await super().shutdown(sockets=sockets)


def web_config() -> uvicorn.Config:
    """How uvicorn serves: without its access lines; what a proxy in front says is believed when it is a trusted one."""
    environment = settings.ENVIRONMENT
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=ShortWayProtocol if environment.short_way else "httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=128 * 1024,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(environment.trusted_proxies),
        forwarded_allow_ips=list(environment.trusted_proxies),
        timeout_keep_alive=75,
        timeout_graceful_shutdown=OTHER_REQUESTS_SECONDS,
    )


def main() -> int:
    """Serve until SIGTERM. A start that fails exits with uvicorn's own status."""
    wait_at_gate(os.environ)
    WebServer(web_config()).run(sockets=[listening_socket(os.environ)])
    return 0
