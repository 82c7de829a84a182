"""The upstream side: pooled HTTP/1.1 connections, each with the parts that it is made of.

`proxy/connection.py` is one connection, `proxy/dialling.py` makes new ones, `proxy/sending.py` sends long bodies;
`proxy/rules/origin.py` tells the connections of one backend from those of another.
"""

import asyncio
from collections.abc import Callable

from agenthub.core import clock
from proxy.connection import Connection, Sink
from proxy.dialling import Dialler
from proxy.rules.origin import Origin, OutgoingProxy, origin_of
from proxy.sending import RequestBody
from proxy.upstream_failures import (
    AddressRefused,
    AnswerInvalid,
    BodyFailed,
    ConnectFailed,
    ConnectionBroken,
    OutgoingProxyFailed,
    UpstreamFailed,
    WayInvalid,
)

__all__ = [
    "AddressRefused",
    "AnswerInvalid",
    "BodyFailed",
    "ConnectFailed",
    "Connection",
    "ConnectionBroken",
    "ConnectionPool",
    "Origin",
    "OutgoingProxy",
    "OutgoingProxyFailed",
    "RequestBody",
    "Sink",
    "UpstreamFailed",
    "WayInvalid",
    "origin_of",
]

IDLE_SECONDS = 55.0
"""Kept connections are used again within this time: below the 60 s after which common servers close theirs."""

DRAIN_SECONDS = 1.0
"""Longest wait for the last bytes of an answer whose outcome is known already."""

MOST_KEPT = 256
"""Idle connections that are kept per backend."""


class ConnectionPool:
    """Kept connections per origin, the last used first, and how new ones are made."""

    def __init__(self, *, allow_private: bool) -> None:
        self._kept: dict[Origin, list[Connection]] = {}
        self._dialler = Dialler(allow_private=allow_private)
        self._closed = False

    def kept(self, origin: Origin) -> Connection | None:
        """A kept connection that looks alive; None if there is none."""
        stack = self._kept.get(origin)
        now = clock.monotonic_seconds()
        while stack:
            connection = stack.pop()
            if connection.usable and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def settle(self, origin: Origin, connection: Connection) -> None:
        """The request is done with the connection: keep it, let the last bytes come, or end it."""
        if connection.unfinished:
            connection.drain(lambda: self.give_back(origin, connection))
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, connection.stop_draining)
        else:
            self.give_back(origin, connection)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep the connection for the next request, or end it."""
        stack = self._kept.setdefault(origin, [])
        if self._closed or not connection.reusable or len(stack) >= MOST_KEPT:
            connection.abort()
            return
        connection.resume()  # the client may have been too slow for the last piece, which held the end of the answer
        connection.idle_since = clock.monotonic_seconds()
        stack.append(connection)

    async def connect(self, origin: Origin) -> Connection:
        """A new connection; the time limit is the caller's. Raises ConnectFailed, by which of its classes says why."""
        connection = await self._dialler.dial(origin, lambda: Connection(self._forget(origin)))
        if not connection.usable:
            raise ConnectFailed(f"{origin.host}:{origin.port} ended the connection at once.")
        return connection

    def _forget(self, origin: Origin) -> "Callable[[Connection], None]":
        def forget(connection: Connection) -> None:
            stack = self._kept.get(origin)
            if stack is not None and connection in stack:
                stack.remove(connection)

        return forget

    def prune(self) -> None:
        """End connections that nobody has used for a while."""
        now = clock.monotonic_seconds()
        for origin, stack in list(self._kept.items()):
            fresh = [each for each in stack if each.usable and now - each.idle_since < IDLE_SECONDS]
            for stale in set(stack) - set(fresh):
                stale.abort()
            if fresh:
                self._kept[origin] = fresh
            else:
                del self._kept[origin]

    def close(self) -> None:
        """End every kept connection."""
        self._closed = True
        for stack in self._kept.values():
            for connection in stack:
                connection.abort()
        self._kept.clear()
