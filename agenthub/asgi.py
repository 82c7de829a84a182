"""The outermost ASGI callable: what carries a completion goes to the proxy before any of Django, WebSockets to the
gateway of agents, the rest to Django.

It owns the lifespan, because neither Django's handler nor a router of Channels knows of one: a start that fails
must end the process, not leave a server that answers errors.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from agenthub import bodies  # noqa: E402 - models can be imported only now
from agenthub.browsers import answer_options, readable_by_pages  # noqa: E402 - models can be imported only now
from agenthub.core.bridge import in_thread  # noqa: E402
from agenthub.core.events import LoopEnded, LoopTurned, publish  # noqa: E402
from agenthub.hub.gateway.door import Door  # noqa: E402
from agenthub.hub.gateway.lifespan import gateway_lifespan  # noqa: E402
from proxy.app import ProxyApp  # noqa: E402
from proxy.asgi_client import Message, Receive, Send  # noqa: E402
from proxy.lifespan import proxy_lifespan  # noqa: E402

logger = logging.getLogger(__name__)

V1 = "/v1/"
READS = ("/v1/models", "/v1/key", "/v1/usage")
"""Below /v1/, Django serves what only reads."""

TURN_SECONDS = 5.0


class Hub:
    """One web process."""

    def __init__(self) -> None:
        self._proxy: ProxyApp | None = None
        self._door: Door | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the lifespan."""
        kind = scope["type"]
        if kind == "http":
            if scope["path"].startswith(V1) and self._proxy is not None:
                await self._v1(self._proxy, scope, receive, send)
            else:
                await self._django(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif self._door is not None:
            await self._door(scope, receive, send)
        else:
            await _refuse_websocket(receive, send)

    async def _django(self, scope: Message, receive: Receive, send: Send) -> None:
        most = bodies.most_bytes(scope["path"])
        if bodies.announced_bytes(scope) > most:
            await bodies.refuse(send, most)
        else:
            await django_application(scope, bodies.bounded(receive, most), send)  # type: ignore[arg-type]

    async def _v1(self, proxy: ProxyApp, scope: Message, receive: Receive, send: Send) -> None:
        method, path, allowed = scope["method"], scope["path"], proxy.runtime.cors_origins
        if method == "OPTIONS":
            await answer_options(scope, send, allowed=allowed, reads=_is_read("GET", path))
            return
        if allowed:
            send = readable_by_pages(scope, send, allowed)
        if _is_read(method, path):
            await django_application(scope, receive, send)  # type: ignore[arg-type]
        else:
            await proxy(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                self._proxy = ProxyApp(await stack.enter_async_context(proxy_lifespan()))
                self._door = await stack.enter_async_context(gateway_lifespan())
                await stack.enter_async_context(_turning())
            except Exception as problem:
                # The edge of the start: the server ends with this message.
                logger.exception("start_failed")
                await send({"type": "lifespan.startup.failed", "message": f"{type(problem).__name__}: {problem}"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        self._proxy = self._door = None
        await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def _turning() -> AsyncIterator[None]:
    """Say that the event loop turns as long as it does, and at the end that it is not to be expected any more."""

    async def turn() -> None:
        while True:
            publish(LoopTurned("web"))
            await asyncio.sleep(TURN_SECONDS)

    turning = asyncio.create_task(turn(), name="turning")
    try:
        yield
    finally:
        turning.cancel()
        for part in ("routing", "web"):
            await in_thread(publish, LoopEnded(part))


def _is_read(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and any(path == read or path.startswith(read + "/") for read in READS)


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})


application = Hub()
