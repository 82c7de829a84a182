"""A web process: uvicorn on the socket that `agenthub up` has bound."""

import asyncio
import os
import socket
from contextlib import suppress

import uvicorn
from django.conf import settings

from agenthub.asgi import application  # first: it sets up Django, which models need
from agenthub.core.databases import bound_waits
from agenthub.hub.gateway import lifespan as gateway
from agenthub.hub.gateway.socket import HubSocketProtocol
from agenthub.up.inherited import READY, STOPPING, hub_stops, listening_socket, tell, wait_at_gate
from proxy import runtime
from proxy.lastanswer import LastAnswerProtocol
from proxy.runtime import Runtime
from proxy.shortway import ShortWayProtocol

OTHER_REQUESTS_SECONDS = 5
"""How long pages and the management API may take to finish after the proxy's requests have ended."""


LOOK_SECONDS = 0.05


class WebServer(uvicorn.Server):
    """Tells the parent when it serves and when it stops, and lets running requests finish before it stops.

    Where only this process ends, the others take new connections at once, and those that clients keep open get one
    more answer here. Where the whole hub stops, new requests are answered 503 rather than refused without a word.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            tell(os.environ, READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, wait for what is under way as long as shutdown_grace_seconds says, then stop."""
        proxy = runtime.current()
        if proxy is not None:
            grace = proxy.snapshot.settings.shutdown_grace_seconds
            tell(os.environ, STOPPING, grace + OTHER_REQUESTS_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    if not hub_stops(os.environ):
                        await asyncio.gather(self._leave(proxy), self._send_agents_away())
                    if hub_stops(os.environ):
                        proxy.drain()
                        await self._send_agents_away()
                    await proxy.idle()
        await super().shutdown(sockets=sockets)

    async def _send_agents_away(self) -> None:
        here = gateway.current()
        if here is not None:
            await gateway.drain(here, elsewhere=not hub_stops(os.environ))

    async def _leave(self, proxy: Runtime) -> None:
        """Serve out what is connected, until nothing is, or the whole hub stops too."""
        proxy.leave()
        # Nor do agents that are sent away come back here.
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            if isinstance(connection, LastAnswerProtocol):
                connection.leave()
        # Two looks, since a connection that has just been accepted is counted only in the loop's next turn.
        empty = 0
        while empty < 2 and not hub_stops(os.environ):
            await asyncio.sleep(LOOK_SECONDS)
            empty = 0 if self.server_state.connections else empty + 1


def web_config() -> uvicorn.Config:
    """How uvicorn serves: without its access lines; what a proxy in front says is believed when it is a trusted one."""
    environment = settings.ENVIRONMENT
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=ShortWayProtocol if environment.short_way else LastAnswerProtocol,
        ws=HubSocketProtocol,
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
    bound_waits(settings.DATABASES["default"])
    wait_at_gate(os.environ)
    WebServer(web_config()).run(sockets=[listening_socket(os.environ)])
    return 0
