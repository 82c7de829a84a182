"""What the gateway asks of the database, each kind in groups of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, connection, transaction

from agenthub.core.bridge import in_thread
from agenthub.hub.gateway.batches import Away, Batches
from agenthub.hub.models import Agent
from agenthub.hub.rules.rights import Denied
from agenthub.hub.services.inbox import Page, page_after
from agenthub.hub.services.logs import Report, logs_store
from agenthub.hub.services.messages import Draft, Saved, messages_store
from agenthub.hub.services.sessions import Opening, Place, session_open

MOST_READERS = 4
"""Inboxes that one process reads at the same time: a storm of reconnects must not take all threads."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Nothing to store: it only keeps its place behind the messages that were sent before it."""


Stored = Saved | Denied | None
Opened = Place | None


class Writer:
    """The threads of one process that write for the hub."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.messages: Batches[Draft | Passing, Stored] = Batches("hub messages", _store, loop=loop)
        self.sessions: Batches[Opening, Opened] = Batches("hub sessions", _open, loop=loop, most=100)
        self.logs: Batches[Report, int] = Batches("hub logs", logs_store, loop=loop)
        self._readers = asyncio.Semaphore(MOST_READERS)

    async def page(self, participant_id: int, after: int, most: int, name_of: Callable[[int], str]) -> Page:
        """The next messages of an inbox. Raises Away."""
        async with self._readers:
            try:
                return await in_thread(page_after, participant_id, after=after, most=most, name_of=name_of)
            except (DatabaseError, InterfaceError) as problem:
                raise Away(str(problem)) from None

    def close(self) -> None:
        """Write what was submitted, then end."""
        for batches in (self.messages, self.sessions, self.logs):
            batches.close()


def _store(items: Sequence[Draft | Passing]) -> Sequence[Stored]:
    drafts = [item for item in items if isinstance(item, Draft)]
    if not drafts:
        return [None] * len(items)
    _sync_commits()
    outcomes = iter(messages_store(drafts))
    return [next(outcomes) if isinstance(item, Draft) else None for item in items]


def _open(items: Sequence[Opening]) -> Sequence[Opened]:
    places: dict[int, Opened] = {}
    with transaction.atomic():
        # In one order in all processes, so that none waits for another that waits for it.
        for number in sorted(range(len(items)), key=lambda each: items[each].agent_id):
            places[number] = _opened(items[number])
    return [places[number] for number in range(len(items))]


def _opened(opening: Opening) -> Opened:
    try:
        return session_open(opening)
    except Agent.DoesNotExist:
        return None


def _sync_commits() -> None:
    """An acknowledgement promises that a loss of power takes nothing: SQLite has to be told so, per connection."""
    if connection.vendor != "sqlite" or getattr(connection, "_hub_synced", None) is connection.connection:
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=FULL")
    connection._hub_synced = connection.connection  # type: ignore[attr-defined]
