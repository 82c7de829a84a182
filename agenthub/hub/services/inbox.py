"""Reads of inboxes, and what is done to them as they grow old."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Max

from agenthub.core.clock import utc_now
from agenthub.hub.models import AgentLog, Message, Participant
from agenthub.hub.rules.envelope import Envelope
from agenthub.hub.services.messages import envelope_of

REPLAY_DAYS = 7
REPLAY_MESSAGES = 10_000
SLICE = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """The next messages of an inbox."""

    envelopes: list[Envelope]
    head: int
    trimmed: int


def page_after(participant_id: int, *, after: int, most: int, name_of: Callable[[int], str]) -> Page:
    """The messages of an inbox after a number, and where the inbox stands. Raises Participant.DoesNotExist.

    `name_of` knows the names of senders, or says "": those are looked up.
    """
    place = Participant.objects.get(id=participant_id)
    after = max(after, place.trimmed_seq)
    rows = list(Message.objects.filter(target_id=participant_id, seq__gt=after).order_by("seq")[:most])
    found = sender_names({row.sender_id for row in rows}, name_of=name_of)
    return Page([envelope_of(row, found[row.sender_id]) for row in rows], place.last_seq, place.trimmed_seq)


def sender_names(ids: Collection[int], *, name_of: Callable[[int], str]) -> dict[int, str]:
    """What people call those who have sent something."""
    names = {each: name_of(each) for each in ids}
    missing = [each for each, name in names.items() if not name]
    if missing:
        names |= dict(Participant.objects.filter(id__in=missing).values_list("id", "name"))
    return names


def inboxes_trim(*, now: datetime | None = None) -> int:
    """Move what is older than a week, or beyond the newest 10,000, from inboxes into history; how many inboxes moved.

    Nothing is deleted: a receiver that comes later than that is told of a gap.
    """
    limit, moved = (now or utc_now()) - timedelta(days=REPLAY_DAYS), 0
    full = Participant.objects.filter(last_seq__gt=F("trimmed_seq")).order_by("id")
    for number, last_seq, trimmed_seq in full.values_list("id", "last_seq", "trimmed_seq").iterator():
        old = Message.objects.filter(target_id=number, seq__gt=trimmed_seq, created_at__lt=limit)
        mark = max(old.aggregate(last=Max("seq"))["last"] or 0, last_seq - REPLAY_MESSAGES)
        # Row by row: whoever locks several does so in the order of their numbers.
        moved += Participant.objects.filter(id=number, trimmed_seq__lt=mark).update(trimmed_seq=mark)
    return moved


def history_prune(*, message_days: int, log_days: int, now: datetime | None = None) -> int:
    """Delete messages and reports that are older than their settings say (0: never), in slices; how many went.

    Messages that an inbox still has to give out stay.
    """
    now, gone = now or utc_now(), 0
    if message_days:
        old = Message.objects.filter(created_at__lt=now - timedelta(days=max(message_days, REPLAY_DAYS + 1)))
        while ids := list(old.order_by("id").values_list("id", flat=True)[:SLICE]):
            gone += Message.objects.filter(id__in=ids).delete()[0]
    if log_days:
        reports = AgentLog.objects.filter(created_at__lt=now - timedelta(days=log_days))
        while ids := list(reports.order_by("id").values_list("id", flat=True)[:SLICE]):
            gone += AgentLog.objects.filter(id__in=ids).delete()[0]
    return gone
