"""The ASGI callable of the WebSocket: lets connections in, and runs each until its end."""

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.db import DatabaseError, InterfaceError

from agenthub.core.agents import checkpoint_sink
from agenthub.core.bridge import in_thread
from agenthub.core.clock import utc_now
from agenthub.core.origins import ANYBODY
from agenthub.hub.gateway.batches import Away
from agenthub.hub.gateway.connection import Connection, Send
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.gateway.receiving import Receiver
from agenthub.hub.gateway.socket import ABORT
from agenthub.hub.gateway.welcome import (
    PROTOCOL_VERSION,
    SUBPROTOCOL,
    Known,
    Refusal,
    Shown,
    hello_fields,
    replay_since,
    shown,
    start,
)
from agenthub.hub.rules.closing import REASONS, Close
from agenthub.hub.rules.envelope import error_text, frame_text, moment_text
from agenthub.hub.rules.frames import Frame, FrameRefused, frame_read
from agenthub.hub.rules.limits import ADDRESS_FAILURES, ADDRESS_FAILURES_SECONDS, PERSON_SOCKETS, told
from agenthub.hub.rules.presence import HEARTBEAT_SECONDS
from agenthub.hub.rules.rights import Role
from agenthub.hub.services.sessions import Ending, Opening, Place, first_within, inbox_place

logger = logging.getLogger(__name__)

PATHS = ("/api/ws", "/api/ws/", "/ws/agents", "/ws/agents/")
HELLO_SECONDS = 5.0
QUIET_SECONDS = 0.3
"""How long a client that may be a plain one is given to send HELLO before it is sent messages as a plain one."""

LEGACY_REPLAY = 100
MOST_ADDRESSES = 10_000

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Door:
    """Serves the WebSockets of one process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._receiver = Receiver(gateway)
        self._failures: dict[str, deque[float]] = {}
        self._opened = 0
        self._loop = asyncio.get_running_loop()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection from its request to its end."""
        await receive()
        modern = SUBPROTOCOL in scope.get("subprotocols", ())
        address = (scope.get("client") or ("", 0))[0]
        if scope["path"] not in PATHS:
            await _turn_away(send, 404, "not_found", "WebSockets are served at /api/ws.")
            return
        if self._gateway.draining:
            await _turn_away(send, 503, "shutting_down", "This process stops; connect again.")
            return
        if not self._is_allowed(scope):
            await _turn_away(send, 403, "origin_not_allowed", "Pages of other sites may not connect here.")
            return
        if self._too_many_failures(address):
            await _turn_away(
                send, 429, "too_many_failures", "Too many connections without a good token; wait a minute."
            )
            return
        try:
            found = await self._gateway.writer.doors.result(shown(scope))
        except Away:
            # Nobody knows now whether the token is good: it is not called bad.
            found = Refusal(Close.SERVER_ERROR, 503, "The database is away; connect again in a moment.")
        if isinstance(found, Refusal):
            self._note_failure(address, found)
            await _refuse(send, found, modern=modern)
            return
        await send({"type": "websocket.accept", **({"subprotocol": SUBPROTOCOL} if modern else {})})
        connection = self._connection(found, scope, send, address)
        try:
            await self._serve(connection, found, shown(scope), receive, modern=modern)
        except OSError:
            return  # it is gone
        except (Away, DatabaseError, InterfaceError) as problem:
            logger.warning("connection_failed", extra={"reason": str(problem).strip()})
            await self._finish(connection, Close.SERVER_ERROR)
        finally:
            await self._gone(connection)

    def _connection(self, found: Known, scope: Mapping[str, Any], send: Send, address: str) -> Connection:
        abort = scope.get("extensions", {}).get(ABORT, {}).get("abort", _nothing)
        connection = Connection(
            sender=found.sender, send=send, abort=abort, inbox=self._gateway, session=secrets.token_hex(8)
        )
        connection.address = address
        connection.epoch = self._gateway.epoch
        connection.token = found.digest
        connection.token_ends_at = found.ends_at.timestamp() if found.ends_at is not None else None
        connection.session_hash = found.session_hash
        connection.heard_at = self._loop.time()
        return connection

    # Beginnings

    async def _serve(
        self, connection: Connection, found: Known, given: Shown, receive: Receive, *, modern: bool
    ) -> None:
        if self._is_crowded(connection):
            await self._finish(connection, Close.TOO_MANY_CONNECTIONS)
            return
        if modern:
            await self._modern(connection, _Waiting(receive))
            return
        waiting = _Waiting(receive)
        self._gateway.add(connection)
        # A token in a header without the subprotocol is a client of version 1, if its HELLO comes; so may any be.
        first = await waiting.next(QUIET_SECONDS if given.in_address else HELLO_SECONDS)
        if first is not None and _is_hello(first):
            waiting.put_back(first)
            await self._modern(connection, waiting)
            return
        await self._legacy(connection, found, first, waiting)

    async def _modern(self, connection: Connection, waiting: "_Waiting") -> None:
        event = await waiting.next(HELLO_SECONDS)
        if event is None:
            await self._finish(connection, Close.NO_HELLO)
            return
        if event["type"] == "websocket.disconnect":
            return
        connection.legacy = False
        try:
            frame = _hello(event)
        except FrameRefused as problem:
            connection.first(error_text(problem.code, problem.message))
            await self._finish(connection, Close.NO_HELLO)
            return
        if frame.body.get("v") != PROTOCOL_VERSION:
            connection.first(error_text("bad_frame", f"This hub speaks version {PROTOCOL_VERSION} of the protocol."))
            await self._finish(connection, Close.VERSION)
            return
        place = await self._place(connection, frame)
        if place is None:
            await self._finish(connection, Close.FORBIDDEN)
            return
        await self._welcome(connection, frame, place)
        await self._listen(connection, waiting)

    async def _legacy(
        self, connection: Connection, found: Known, first: Mapping[str, Any] | None, waiting: "_Waiting"
    ) -> None:
        if first is not None and first["type"] == "websocket.disconnect":
            return
        place = await self._place(connection, None)
        if place is None:
            await self._finish(connection, Close.FORBIDDEN)
            return
        after = place.acked
        if found.sender.is_person or not found.replays_to_legacy:
            after = place.head
        elif place.head > after:
            since = replay_since()
            after = await in_thread(
                partial(first_within, found.sender.id, after=after, most=LEGACY_REPLAY, since=since)
            )
        connection.begin(after, head=place.head, now=self._loop.time())
        self._gateway.came_if_person(connection)
        first = first or await waiting.next(HELLO_SECONDS)
        if first is not None:
            waiting.put_back(first)
            if _is_hello(first):  # it was no plain client after all, only slow
                await self._modern(connection, waiting)
                return
        await self._listen(connection, waiting)

    async def _place(self, connection: Connection, hello: Frame | None) -> Place | None:
        """Take a place among those who are here; where its inbox stands. None for an agent that is none any more.

        Raises Away and DatabaseError: it is asked to come again, rather than kept waiting for a database.
        """
        gateway, sender = self._gateway, connection.sender
        # Here from now on, so that no message is missed between the look at the inbox and the first push.
        gateway.add(connection)
        if not gateway.cards.name(sender.id):
            await gateway.refresh()  # somebody new: whom they write to can answer at once
        if sender.role is not Role.AGENT:
            return await in_thread(inbox_place, sender.id)
        self._opened += 1
        connection.number = self._opened
        opening = Opening(
            agent_id=sender.id,
            session=connection.session,
            legacy=connection.legacy,
            address=connection.address,
            **(hello_fields(hello) if hello is not None else {}),
        )
        opened = await gateway.writer.sessions.result(opening)
        if opened is None:
            return None
        place, connection.has_tasks = opened
        connection.placed = True
        gateway.replace_older(connection)
        gateway.bell.session(sender.id)
        return place

    async def _welcome(self, connection: Connection, hello: Frame, place: Place) -> None:
        sender, resume = connection.sender, hello.body.get("resume")
        begin = start(place, resume if isinstance(resume, dict) else None, person=sender.role is not Role.AGENT)
        connection.epoch = place.epoch
        tasks = await self._open_tasks(connection)
        welcome = {
            "v": 1,
            "type": "WELCOME",
            "session": connection.session,
            "resumed": begin.resumed,
            "epoch": place.epoch,
            "head_seq": place.head,
            "replay_from": begin.after + 1,
            "heartbeat_s": HEARTBEAT_SECONDS,
            "limits": told(person=sender.is_person),
            "you": {"id": sender.id, "name": sender.name, "role": sender.role.value},
            "open_tasks": tasks,
            "server_time": moment_text(utc_now()),
        }
        connection.first(frame_text(welcome))
        if begin.gap is not None and begin.gap[0] <= begin.gap[1]:
            first, last, reason = begin.gap
            connection.first(frame_text({"v": 1, "type": "GAP", "from": first, "to": last, "reason": reason}))
        connection.begin(begin.after, head=place.head, now=self._loop.time())
        self._gateway.came_if_person(connection)

    async def _open_tasks(self, connection: Connection) -> list[dict[str, Any]]:
        if not connection.has_tasks:
            return []
        try:
            found = await in_thread(checkpoint_sink().open_tasks, str(connection.sender.id))
        except (DatabaseError, InterfaceError):
            return []
        return [{"task_id": task.task_id, "checkpoint": dict(task.checkpoint)} for task in found]

    # While it lasts

    async def _listen(self, connection: Connection, waiting: "_Waiting") -> None:
        while not connection.closing:
            event = await waiting.next(None)
            if event is None or event["type"] == "websocket.disconnect":
                return
            self._receiver.take(connection, event.get("text"))
            await connection.breathe()
        await connection.finished()

    async def _finish(self, connection: Connection, code: Close) -> None:
        connection.close(code)
        await connection.finished()

    async def _gone(self, connection: Connection) -> None:
        gateway, sender = self._gateway, connection.sender
        gateway.remove(connection)
        connection.ended()
        if connection.placed:
            # When it can't be written down, its lease ends by itself.
            gateway.writer.sessions.submit(Ending(sender.id, connection.session), lambda _: None)

    # Who may come

    def _is_crowded(self, connection: Connection) -> bool:
        here = self._gateway.connections.get(connection.sender.id, ())
        return connection.sender.is_person and len(here) >= PERSON_SOCKETS

    def _is_allowed(self, scope: Mapping[str, Any]) -> bool:
        """Browsers say whose page connects; a page of another site may not use what a person is signed in with."""
        headers = dict(scope["headers"])
        origin: str = headers.get(b"origin", b"").decode("latin-1").lower()
        if not origin or origin == "null":
            return origin == ""
        allowed = self._gateway.known.origins
        host: str = headers.get(b"host", b"").decode("latin-1").lower()
        return urlsplit(origin).netloc == host or ANYBODY in allowed or origin in allowed

    def _too_many_failures(self, address: str) -> bool:
        times = self._failures.get(address)
        if times is None:
            return False
        while times and self._loop.time() - times[0] > ADDRESS_FAILURES_SECONDS:
            times.popleft()
        if not times:
            del self._failures[address]
        return len(times) >= ADDRESS_FAILURES

    def _note_failure(self, address: str, refusal: Refusal) -> None:
        if refusal.code is Close.SERVER_ERROR:
            return
        while len(self._failures) >= MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures.setdefault(address, deque(maxlen=ADDRESS_FAILURES)).append(self._loop.time())


class _Waiting:
    """The events of a connection, the first of which may be looked at and put back."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._back: Mapping[str, Any] | None = None

    def put_back(self, event: Mapping[str, Any]) -> None:
        """Have it come again."""
        self._back = event

    async def next(self, seconds: float | None) -> Mapping[str, Any] | None:
        """The next event; None when none came in time."""
        if self._back is not None:
            event, self._back = self._back, None
            return event
        if seconds is None:
            return await self._receive()
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except TimeoutError:
            return None


def _is_hello(event: Mapping[str, Any]) -> bool:
    text = event.get("text")
    return isinstance(text, str) and '"HELLO"' in text[:4096] and _parsed(text) is not None


def _parsed(text: str) -> Frame | None:
    try:
        frame = frame_read(text)
    except FrameRefused:
        return None
    return frame if frame.type == "HELLO" else None


def _hello(event: Mapping[str, Any]) -> Frame:
    text = event.get("text")
    if not isinstance(text, str):
        raise FrameRefused("bad_frame", "The first frame must be HELLO, in text.")
    frame = frame_read(text)
    if frame.type != "HELLO":
        raise FrameRefused("bad_frame", f"The first frame must be HELLO, not {frame.type}.")
    return frame


def _nothing() -> None:
    return None


async def _refuse(send: Send, refusal: Refusal, *, modern: bool) -> None:
    if modern:
        # Browsers are told the code only of a connection that was open.
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        await send({"type": "websocket.close", "code": int(refusal.code), "reason": REASONS[refusal.code]})
        return
    code = {401: "invalid_token", 403: "forbidden"}.get(refusal.status, "unavailable")
    await _turn_away(send, refusal.status, code, refusal.message)


async def _turn_away(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "authentication_error", "param": None, "code": code}})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if status in (429, 503):
        headers.append((b"retry-after", b"60" if status == 429 else b"2"))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body.encode()})
