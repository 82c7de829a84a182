"""What the gateway asks of the database, each kind in groups of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db import DatabaseError, InterfaceError, connection

from agenthub.core.agents import checkpoint_sink
from agenthub.core.bridge import in_thread
from agenthub.hub.gateway.batches import Away, Batches
from agenthub.hub.gateway.welcome import Known, Refusal, Shown, all_known
from agenthub.hub.rules.rights import Denied
from agenthub.hub.services.inbox import Page, page_after
from agenthub.hub.services.logs import Report, logs_store
from agenthub.hub.services.messages import Draft, Saved, messages_store
from agenthub.hub.services.sessions import Ending, Opening, Place, sessions_end, sessions_open

MOST_READERS = 4
"""Inboxes that one process reads at the same time: a storm of reconnects must not take all threads."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Nothing to store: it only keeps its place behind the messages that were sent before it."""


Stored = Saved | Denied | None
Opened = tuple[Place, bool] | None
"""Where the inbox stands, and whether tasks of the agent have been saved."""


class Writer:
    """The threads of one process that write for the hub."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.messages: Batches[Draft | Passing, Stored] = Batches("hub messages", _store, loop=loop, keeps=True)
        self.sessions: Batches[Opening | Ending, Opened] = Batches("hub sessions", _open, loop=loop)
        self.doors: Batches[Shown, Known | Refusal] = Batches("hub doors", all_known, loop=loop)
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
        for batches in (self.messages, self.sessions, self.doors, self.logs):
            batches.close()


def _store(items: Sequence[Draft | Passing]) -> Sequence[Stored]:
    drafts = [item for item in items if isinstance(item, Draft)]
    if not drafts:
        return [None] * len(items)
    _sync_commits()
    outcomes = iter(messages_store(drafts))
    return [next(outcomes) if isinstance(item, Draft) else None for item in items]


def _open(items: Sequence[Opening | Ending]) -> Sequence[Opened]:
    """Openings and endings, in their order where they are of the same agent."""
    outcomes: dict[int, Opened] = {}
    for kind, group in groupby(range(len(items)), key=lambda each: type(items[each])):
        numbers = list(group)
        if kind is Ending:
            sessions_end([item for number in numbers if isinstance(item := items[number], Ending)])
            outcomes |= dict.fromkeys(numbers)
        else:
            openings = [item for number in numbers if isinstance(item := items[number], Opening)]
            outcomes |= dict(zip(numbers, _opened(openings), strict=True))
    return [outcomes[number] for number in range(len(items))]


def _opened(openings: Sequence[Opening]) -> Sequence[Opened]:
    places = sessions_open(openings)
    saved = checkpoint_sink().with_tasks([str(opening.agent_id) for opening in openings])
    return [
        (place, str(opening.agent_id) in saved) if place is not None else None
        for place, opening in zip(places, openings, strict=True)
    ]


def tidy() -> None:
    """Move what was committed from SQLite's log into the database, as far as no reader is in the way."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _sync_commits() -> None:
    """An acknowledgement promises that a loss of power takes nothing: SQLite has to be told so, per connection."""
    if connection.vendor != "sqlite" or getattr(connection, "_hub_synced", None) is connection.connection:
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=FULL")
        # Moving the log into the database takes many times as long as a commit: another thread does it (`tidy`).
        cursor.execute("PRAGMA wal_autocheckpoint=0")
    connection._hub_synced = connection.connection  # type: ignore[attr-defined]
