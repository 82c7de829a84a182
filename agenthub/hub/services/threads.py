"""Threads: found or made for messages, and changed by those whose they are."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.core.errors import Conflict, NotFound
from agenthub.hub.models import Message, Participant, Thread
from agenthub.hub.rules.rights import Denied

Kind = Participant.Kind

_KINDS: dict[tuple[Kind, Kind], Thread.Kind] = {
    (Kind.PERSON, Kind.BUTLER): Thread.Kind.BUTLER_DIRECT,
    (Kind.PERSON, Kind.AGENT): Thread.Kind.AGENT_DIRECT,
    (Kind.BUTLER, Kind.AGENT): Thread.Kind.BUTLER_AGENT_MONITOR,
}


class Places:
    """Finds the threads of the messages of one transaction, and makes those that are missing.

    It runs under the locks of the messages' participants, so that nobody else makes the same ones meanwhile.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]], kinds: Mapping[int, Kind], now: datetime) -> None:
        self._kinds = kinds
        self._now = now
        self._said: dict[int, bool] = {}  # by its owner, too
        ordered = {pair for one, other in pairs if (pair := self._pair(one, other)) is not None}
        owners, peers = {owner for owner, _ in ordered}, {peer for _, peer in ordered}
        found = Thread.objects.filter(owner_id__in=owners, peer_id__in=peers, is_default=True) if ordered else ()
        self._defaults: dict[tuple[int, int], Thread] = {(row.owner_id, row.peer_id): row for row in found}

    def _pair(self, one: int, other: int) -> tuple[int, int] | None:
        """The two as owner and peer of a thread; None where there are no threads between them."""
        first, second = self._kinds.get(one), self._kinds.get(other)
        if first is None or second is None:
            return None
        if (first, second) in _KINDS:
            return one, other
        return (other, one) if (second, first) in _KINDS else None

    def place(
        self, sender_id: int, target_id: int, *, thread_id: int | None, reply_to: int | None, needs_spoken: bool
    ) -> int | Denied | None:
        """The thread of a message: the one that it names, that of the message that it answers, or the default one."""
        pair = self._pair(sender_id, target_id)
        if pair is None:
            return Denied("unknown_target", "There are no threads between agents.") if thread_id else None
        thread = self._named(thread_id, pair) if thread_id else self._answered(reply_to, pair)
        if thread_id and thread is None:
            return Denied("unknown_target", f"You have no thread {thread_id} with {target_id}.")
        if thread is None:
            thread = self._defaults.get(pair)
        if needs_spoken and (thread is None or not thread.owner_spoke):
            thread = thread if thread_id else self._last_spoken(pair)
            if thread is None or not thread.owner_spoke:
                return Denied("forbidden_type", f"{target_id} has not written to you, and you may not write first.")
        if thread is None:
            thread = self._made(pair)
        by_owner = sender_id == pair[0]
        self._said[thread.pk] = self._said.get(thread.pk, False) or by_owner
        thread.owner_spoke = thread.owner_spoke or by_owner
        return thread.pk

    def _named(self, thread_id: int, pair: tuple[int, int]) -> Thread | None:
        return Thread.objects.filter(id=thread_id, owner_id=pair[0], peer_id=pair[1]).first()

    def _answered(self, reply_to: int | None, pair: tuple[int, int]) -> Thread | None:
        if reply_to is None:
            return None
        answered = Message.objects.filter(id=reply_to).values_list("thread_id", flat=True).first()
        return self._named(answered, pair) if answered is not None else None

    def _last_spoken(self, pair: tuple[int, int]) -> Thread | None:
        spoken = Thread.objects.filter(owner_id=pair[0], peer_id=pair[1], owner_spoke=True)
        return spoken.order_by("-updated_at").first()

    def _made(self, pair: tuple[int, int]) -> Thread:
        owner, peer = pair
        thread = Thread.objects.create(
            kind=_KINDS[(self._kinds[owner], self._kinds[peer])],
            owner_id=owner,
            peer_id=peer,
            is_default=True,
            updated_at=self._now,
        )
        self._defaults[pair] = thread
        return thread

    def note_spoken(self) -> None:
        """Write down when something was said in them, and by their owners."""
        if first := [thread_id for thread_id, by_owner in self._said.items() if by_owner]:
            Thread.objects.filter(id__in=first).update(updated_at=self._now, owner_spoke=True)
        if again := [thread_id for thread_id, by_owner in self._said.items() if not by_owner]:
            Thread.objects.filter(id__in=again).update(updated_at=self._now)


def has_spoken(*, owner_id: int, peer_id: int) -> bool:
    """Whether a person has ever written to an agent."""
    return Thread.objects.filter(owner_id=owner_id, peer_id=peer_id, owner_spoke=True).exists()


MOST_THREADS = 1_000
"""Open threads of one person; what is archived does not count."""


@transaction.atomic
def thread_create(
    *, owner_id: int, peer_id: int, title: str = "", summary: str = "", is_pinned: bool = False
) -> Thread:
    """A new thread of a person with an agent or the Butler; whether they may write there, the caller has looked at.

    Raises NotFound for a peer with whom there are no threads, and Conflict where there are too many already.
    """
    kinds = dict(Participant.objects.filter(id__in=(owner_id, peer_id)).values_list("id", "kind"))
    pair = tuple(Kind(kinds[each]) if each in kinds else None for each in (owner_id, peer_id))
    kind = _KINDS.get(pair)  # type: ignore[arg-type]
    if kind is None:
        raise NotFound(f"There is no agent {peer_id}, and it is not the Butler.", param="peer_user_id")
    # Two that come at once are counted one after another.
    Participant.objects.select_for_update().get(id=owner_id)
    if Thread.objects.filter(owner_id=owner_id, is_archived=False).count() >= MOST_THREADS:
        raise Conflict(f"You have {MOST_THREADS} open threads; archive some first.")
    return Thread.objects.create(
        kind=kind,
        owner_id=owner_id,
        peer_id=peer_id,
        title=title,
        summary=summary,
        is_pinned=is_pinned,
        updated_at=utc_now(),
    )


@transaction.atomic
def thread_change(*, thread_id: int, owner_id: int, values: Mapping[str, Any]) -> Thread:
    """Change a thread; one that is archived is no default any more, so that what comes next begins a new one.

    Raises NotFound, also for the thread of somebody else.
    """
    thread = Thread.objects.select_for_update().filter(id=thread_id, owner_id=owner_id).first()
    if thread is None:
        raise NotFound(f"You have no thread {thread_id}.", param="id")
    for name, value in values.items():
        setattr(thread, name, value)
    if thread.is_archived:
        thread.is_default = False
    thread.save()
    return thread


def thread_read(*, thread_id: int, owner_id: int, message_id: int) -> bool:
    """Note how far a person has read; False for no thread of theirs, or for less than what was read before."""
    unread = Thread.objects.filter(id=thread_id, owner_id=owner_id, read_id__lt=message_id)
    return bool(unread.update(read_id=message_id))
