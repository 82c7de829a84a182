"""What the gateway of a process does by the clock: save how far, renew leases, look who is gone, see what changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError

from agenthub.core.bridge import in_thread
from agenthub.core.clock import utc_now
from agenthub.hub.gateway import metrics
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.gateway.writer import tidy
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import frame_text, moment_text
from agenthub.hub.rules.presence import LOST_SECONDS, presence
from agenthub.hub.rules.rights import Role, Sender
from agenthub.hub.rules.window import STUCK_SECONDS
from agenthub.hub.selectors import working_tokens
from agenthub.hub.services.participants import butler_sender
from agenthub.hub.services.sessions import (
    Beat,
    PresenceRow,
    acks_save,
    heads_of,
    presence_rows,
    sessions_of,
    sessions_renew,
)
from agenthub.hub.services.signin import person_is_here

logger = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
FOLLOW_SECONDS = 1.0
SWEEP_SECONDS = 2.0
LEGACY_BEAT_SECONDS = 20.0
RECHECK_SECONDS = 60.0
NET_SECONDS, NET_ALONE_SECONDS = 5.0, 1.0
"""How often inboxes are looked at for messages that another process has stored: with Redis the bell rings at once, and
this only finds what it lost."""

PRESENCE_SECONDS = 2.0


class Upkeep:
    """The loops of one gateway."""

    def __init__(self, gateway: Gateway, *, alone: bool) -> None:
        self._gateway = gateway
        self._alone = alone
        self._loop = asyncio.get_running_loop()
        self._rechecked_at = 0.0
        self._legacy_saved_at = 0.0
        self._states: dict[int, tuple[str, PresenceRow | None]] = {}

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """Each runs for ever."""
        found = [
            self._every(SAVE_SECONDS, self._save),
            self._every(SWEEP_SECONDS, self._sweep),
            self._follow(),
            self._presence(),
        ]
        return found if self._alone else [*found, self._net(), self._doubt()]

    async def _every(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._guarded(step)

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (DatabaseError, InterfaceError) as problem:
            logger.warning("upkeep_waits", extra={"reason": str(problem).strip()})
        except Exception:  # the edge of this loop: it must go on, whatever one round has met
            logger.exception("upkeep_failed")

    # How far inboxes were received, and leases

    async def _save(self) -> None:
        metrics.show(self._gateway)
        gateway, now = self._gateway, self._loop.time()
        legacy_too = now - self._legacy_saved_at >= LEGACY_BEAT_SECONDS
        beats = []
        for connection in gateway.all():
            if connection.legacy:
                gateway.note_acked(connection)
            if connection.sender.role is Role.AGENT and (connection.beaten or (connection.legacy and legacy_too)):
                connection.beaten = False
                status, load, task = connection.beat
                beats.append(
                    Beat(
                        agent_id=connection.sender.id,
                        session=connection.session,
                        beat_at=utc_now(),
                        status=status,
                        load=load,
                        task_id=task,
                    )
                )
        if legacy_too:
            self._legacy_saved_at = now
        acked, gateway.acked = gateway.acked, {}
        try:
            if acked:
                await in_thread(acks_save, acked)
            if beats:
                await in_thread(sessions_renew, beats)
            if gateway.wrote:
                gateway.wrote = False
                await in_thread(tidy)
        except (DatabaseError, InterfaceError):
            gateway.acked = acked | gateway.acked
            raise

    # Who is gone, or does not read

    async def _sweep(self) -> None:
        now, wall = self._loop.time(), utc_now().timestamp()
        for connection in self._gateway.all():
            if connection.write_began_at and now - connection.write_began_at > STUCK_SECONDS:
                connection.abort()
            elif connection.window.is_stuck(now):
                connection.close(Close.SLOW_CONSUMER)
            elif not connection.legacy and now - connection.heard_at > LOST_SECONDS:
                connection.close(Close.HEARTBEAT_LOST)
            elif connection.token_ends_at is not None and connection.token_ends_at <= wall:
                connection.close(Close.TOKEN_ENDED)
        for sender_id, streams in list(self._gateway.streams.items()):
            for name, stream in streams.idle(now):
                self._gateway.synthesize(self._sender(sender_id), name, stream, reason="idle")

    def _sender(self, sender_id: int) -> Sender:
        here = self._gateway.connections.get(sender_id)
        if here:
            return here[0].sender
        role = Role.BUTLER if sender_id == self._gateway.cards.butler else Role.AGENT
        return Sender(id=sender_id, name=self._gateway.cards.name(sender_id), role=role)

    # What has changed

    async def _follow(self) -> None:
        """Keep what is known of agents and people true: at once in this process, within a second in others."""
        stale = self._gateway.stale
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_SECONDS):
                    await stale.wait()
            forced = stale.is_set()
            stale.clear()
            await self._guarded(partial(self._look, forced=forced))

    async def _look(self, *, forced: bool) -> None:
        gateway, now = self._gateway, self._loop.time()
        if not gateway.connections and not forced:
            return
        changed = await gateway.refresh_if_changed()
        if forced and not changed:
            await gateway.refresh()
        if changed or now - self._rechecked_at >= RECHECK_SECONDS:
            self._rechecked_at = now
            await self._recheck()

    async def _recheck(self) -> None:
        """End the connections of those who may not be here any more, or not as what they came."""
        connections = list(self._gateway.all())
        agents = {each.sender.id for each in connections if each.sender.role is Role.AGENT}
        works = await in_thread(working_tokens, agents, now=utc_now()) if agents else {}
        for connection in connections:
            if connection.sender.role is Role.AGENT:
                self._recheck_agent(connection, works)
            elif connection.sender.is_person:
                await self._recheck_person(connection)
            elif (await in_thread(butler_sender)).id != connection.sender.id:
                connection.close(Close.TOKEN_ENDED)

    def _recheck_agent(self, connection: Connection, works: Mapping[bytes, datetime | None]) -> None:
        card = self._gateway.cards.agents.get(connection.sender.id)
        if card is None or connection.token not in works:
            switched_off = card is not None and not card.enabled
            connection.close(Close.FORBIDDEN if switched_off else Close.TOKEN_ENDED)
            return
        ends_at = works[connection.token]
        connection.token_ends_at = ends_at.timestamp() if ends_at is not None else None
        connection.sender = Sender(
            id=card.id, name=card.name, role=Role.AGENT, may_notify=card.may_notify, peers=card.peers
        )

    async def _recheck_person(self, connection: Connection) -> None:
        found = await in_thread(partial(person_is_here, connection.sender.id, connection.session_hash, ends_at=None))
        if found is None or found.sender != connection.sender:
            connection.close(Close.TOKEN_ENDED)

    # What other processes have stored

    async def _net(self) -> None:
        while True:
            await asyncio.sleep(NET_SECONDS if self._gateway.bell.is_shared else NET_ALONE_SECONDS)
            await self._guarded(self._catch)

    async def _catch(self) -> None:
        gateway = self._gateway
        ids = list(gateway.connections)
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for participant_id, head in (await in_thread(heads_of, part)).items():
                for connection in gateway.connections.get(participant_id, ()):
                    connection.rung(head)
            await self._end_replaced(part)

    async def _end_replaced(self, agent_ids: Iterable[int]) -> None:
        """End the connections of agents that have a newer one in another process."""
        connections = self._gateway.connections
        # Only those whose own row was written before this look can have been replaced in it.
        placed = [each for agent_id in agent_ids for each in connections.get(agent_id, ()) if each.placed]
        sessions = await in_thread(sessions_of, {each.sender.id for each in placed})
        for connection in placed:
            if sessions.get(connection.sender.id) != connection.session:
                connection.close(Close.REPLACED)

    async def _doubt(self) -> None:
        """Look at once where another process says that an agent has connected to it."""
        gateway = self._gateway
        while True:
            await gateway.doubts.wait()
            gateway.doubts.clear()
            doubted, gateway.doubted = gateway.doubted, set()
            await self._guarded(partial(self._end_replaced, doubted))

    # Who is there

    async def _presence(self) -> None:
        """Tell people who is there: all of it when they come, then what changes."""
        gateway = self._gateway
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PRESENCE_SECONDS):
                    await gateway.watchers.wait()
            gateway.watchers.clear()
            if any(_watches(connection) for connection in gateway.all()):
                await self._guarded(self._tell_presence)

    async def _tell_presence(self) -> None:
        rows = {row.agent_id: row for row in await in_thread(presence_rows)}
        now = utc_now()
        states: dict[int, tuple[str, PresenceRow | None]] = {}
        for agent_id in self._gateway.cards.agents:
            row = rows.get(agent_id)
            state = presence(
                lease_until=row.lease_until if row else None,
                beat_at=row.beat_at if row else None,
                status=row.status if row else "idle",
                now=now,
            )
            states[agent_id] = (state, row)
        changed = {each for each, (state, _) in states.items() if self._states.get(each, ("", None))[0] != state}
        self._states = states
        for connection in self._gateway.all():
            if not _watches(connection):
                continue
            new = not connection.told_presence
            connection.told_presence = True
            for agent_id in states if new else changed:
                if self._gateway.may_see(connection.sender, agent_id):
                    connection.control(_presence_text(agent_id, *states[agent_id]))


def _watches(connection: Connection) -> bool:
    return connection.sender.is_person and not connection.legacy and not connection.closing


def _presence_text(agent_id: int, state: str, row: PresenceRow | None) -> str:
    return frame_text(
        {
            "v": 1,
            "type": "PRESENCE",
            "agent_id": agent_id,
            "state": state,
            "last_seen_at": moment_text(row.beat_at) if row is not None else None,
            "status": {"load": row.load, "task_id": row.task_id or None} if row is not None else None,
        }
    )
