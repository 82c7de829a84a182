"""How messages become rows: many in one transaction, each with the next number of its target's inbox."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from agenthub.core.clock import utc_now
from agenthub.hub.models import Message, Participant
from agenthub.hub.rules.envelope import Envelope
from agenthub.hub.rules.rights import Denied, Sender
from agenthub.hub.services.threads import Places

_COLUMNS = (
    "type",
    "sender_id",
    "sender_role",
    "target_id",
    "seq",
    "thread_id",
    "local_id",
    "stream_id",
    "reply_to",
    "task_id",
    "payload",
    "extra",
    "expires_at",
    "synthesized",
    "created_at",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is to be stored. `payload` and `extra` are JSON."""

    sender: Sender
    type: str
    target_id: int
    payload: str
    local_id: str | None = None
    thread_id: int | None = None
    stream_id: str = ""
    reply_to: int | None = None
    task_id: str = ""
    extra: str = ""
    expires_at: datetime | None = None
    synthesized: bool = False
    needs_thread: bool = False  # only where the target or the Butler has spoken first
    needs_own_task: bool = False  # only for a task that its sender has given


@dataclass(frozen=True, slots=True)
class Saved:
    """A message that is a row, and on the disk."""

    envelope: Envelope
    dup: bool = False
    monitored: bool = False  # between the Butler and an agent: administrators may look on


def messages_store(drafts: Sequence[Draft]) -> list[Saved | Denied]:
    """Store messages, in this order per sender and per target; the outcome of each. One transaction, to be made durable
    by its caller.

    The rows of all senders and targets are locked in the order of their ids: numbers are without gaps and in the order
    of commits, and a message that is sent again, here or to another process, waits for its first.
    """
    with transaction.atomic():
        batch = _Batch(drafts, utc_now())
        outcomes = [batch.place(draft) for draft in drafts]
        batch.write()
    return [batch.saved(outcome) if isinstance(outcome, _Placed) else outcome for outcome in outcomes]


@dataclass(slots=True)
class _Row:
    """A message of this batch that becomes a row."""

    draft: Draft
    seq: int
    thread_id: int | None
    id: int = 0


@dataclass(frozen=True, slots=True)
class _Placed:
    row: _Row
    dup: bool = False


class _Batch:
    """The messages of one transaction."""

    def __init__(self, drafts: Sequence[Draft], now: datetime) -> None:
        self._now = now
        ids = {each for draft in drafts for each in (draft.sender.id, draft.target_id)}
        locked = _locked(ids)
        self._before = {number: last_seq for number, last_seq, _ in locked}
        self._last_seq = dict(self._before)
        self._kinds = {number: _KINDS[kind] for number, _, kind in locked}
        self._rows: list[_Row] = []
        self._known: dict[tuple[int, str], _Row | Message] = dict(_sent_before(drafts))
        self._places = Places(((draft.sender.id, draft.target_id) for draft in drafts), self._kinds, now)

    def place(self, draft: Draft) -> _Placed | Saved | Denied:
        """Give a message its number, or say why it gets none."""
        key = (draft.sender.id, draft.local_id) if draft.local_id is not None else None
        if key is not None and key in self._known:
            return _again(draft, self._known[key])
        if draft.target_id not in self._last_seq:
            return Denied("unknown_target", f"There is nobody with the number {draft.target_id}.")
        if draft.needs_own_task and not _gave_task(draft):
            return Denied("forbidden_type", f"You did not give the task {draft.task_id}, so it is not yours to cancel.")
        thread = self._places.place(
            draft.sender.id,
            draft.target_id,
            thread_id=draft.thread_id,
            reply_to=draft.reply_to,
            needs_spoken=draft.needs_thread,
        )
        if isinstance(thread, Denied):
            return thread
        seq = self._last_seq[draft.target_id] = self._last_seq[draft.target_id] + 1
        row = _Row(draft, seq, thread)
        self._rows.append(row)
        if key is not None:
            self._known[key] = row
        return _Placed(row)

    def write(self) -> None:
        """The rows, the numbers and the times of the threads."""
        if not self._rows:
            return
        line = f"({', '.join(['%s'] * len(_COLUMNS))})"
        insert = (
            f"INSERT INTO {Message._meta.db_table} ({', '.join(_COLUMNS)}) VALUES "  # noqa: S608 - names of columns
            f"{', '.join([line] * len(self._rows))} RETURNING id, target_id, seq"
        )
        moved = {pid: seq for pid, seq in self._last_seq.items() if seq != self._before[pid]}
        table = Participant._meta.db_table
        count = (
            f"UPDATE {table} SET last_seq = moved.column2 "  # noqa: S608 - placeholders
            f"FROM (VALUES {', '.join(['(%s, %s)'] * len(moved))}) AS moved WHERE {table}.id = moved.column1"
        )
        with connection.cursor() as cursor:
            cursor.execute(insert, [value for row in self._rows for value in self._values(row)])
            ids = {(target, seq): number for number, target, seq in cursor.fetchall()}
            cursor.execute(count, [each for pair in moved.items() for each in pair])
        for row in self._rows:
            row.id = ids[(row.draft.target_id, row.seq)]
        self._places.note_spoken()

    def _values(self, row: _Row) -> tuple[Any, ...]:
        draft, moment = row.draft, connection.ops.adapt_datetimefield_value
        return (
            draft.type,
            draft.sender.id,
            draft.sender.role.value,
            draft.target_id,
            row.seq,
            row.thread_id,
            draft.local_id,
            draft.stream_id,
            draft.reply_to,
            draft.task_id,
            draft.payload,
            draft.extra,
            moment(draft.expires_at) if draft.expires_at is not None else None,
            draft.synthesized,
            moment(self._now),
        )

    def saved(self, placed: _Placed) -> Saved:
        """The outcome of a row, once it is written."""
        row, draft = placed.row, placed.row.draft
        envelope = _envelope(
            draft,
            id=row.id,
            seq=row.seq,
            sender_id=draft.sender.id,
            sender_name=draft.sender.name,
            sender_role=draft.sender.role.value,
            thread_id=row.thread_id,
            created_at=self._now,
        )
        kinds = {self._kinds[draft.sender.id], self._kinds[draft.target_id]}
        return Saved(envelope, dup=placed.dup, monitored=kinds == {Participant.Kind.BUTLER, Participant.Kind.AGENT})


_KINDS = {kind.value: kind for kind in Participant.Kind}


def _locked(ids: Collection[int]) -> list[tuple[int, int, str]]:
    """Number, newest number of the inbox and kind of participants, whose rows are locked. By hand, as is what follows:
    the ORM takes longer to put such statements together than the database takes to do them."""
    rows = "FOR UPDATE" if connection.features.has_select_for_update else ""
    statement = (
        f"SELECT id, last_seq, kind FROM {Participant._meta.db_table} "  # noqa: S608 - placeholders
        f"WHERE id IN ({_places(ids)}) ORDER BY id {rows}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, list(ids))
        found: list[tuple[int, int, str]] = cursor.fetchall()
    return found


def _sent_before(drafts: Iterable[Draft]) -> Iterable[tuple[tuple[int, str], Message]]:
    """Messages that their senders have sent before under the same names."""
    named = {(draft.sender.id, draft.local_id) for draft in drafts if draft.local_id is not None}
    if not named:
        return
    senders, local_ids = {sender for sender, _ in named}, {local_id for _, local_id in named}
    statement = (
        f"SELECT id, sender_id, local_id FROM {Message._meta.db_table} "  # noqa: S608 - placeholders
        f"WHERE sender_id IN ({_places(senders)}) AND local_id IN ({_places(local_ids)})"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*senders, *local_ids])
        found = {number: (sender, local_id) for number, sender, local_id in cursor.fetchall()}
    if found:
        for row in Message.objects.filter(id__in=found):
            yield found[row.pk], row


def _places(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _again(draft: Draft, first: _Row | Message) -> _Placed | Saved | Denied:
    """The outcome of a message that was sent before under the same local_id."""
    earlier = first.draft if isinstance(first, _Row) else first
    same = all(
        getattr(earlier, name) == getattr(draft, name)
        for name in ("type", "target_id", "payload", "stream_id", "reply_to", "task_id")
    )
    if not same:
        return Denied("id_reuse", f"The local_id {draft.local_id} was used for another message.")
    if isinstance(first, _Row):
        return _Placed(first, dup=True)
    return Saved(envelope_of(first, draft.sender.name), dup=True)


def envelope_of(row: Message, sender_name: str) -> Envelope:
    """A stored message, as it is sent."""
    return _envelope(
        row,
        id=row.pk,
        seq=row.seq,
        sender_id=row.sender_id,
        sender_name=sender_name,
        sender_role=row.sender_role,
        thread_id=row.thread_id,
        created_at=row.created_at,
    )


_SAME = ("type", "target_id", "payload", "local_id", "stream_id", "reply_to", "task_id", "extra", "expires_at")
"""What a draft, its row and its envelope call alike."""


def _envelope(source: Draft | Message, **given: Any) -> Envelope:
    return Envelope(**{name: getattr(source, name) for name in (*_SAME, "synthesized")}, **given)


def _gave_task(draft: Draft) -> bool:
    given = Message.objects.filter(sender_id=draft.sender.id, target_id=draft.target_id, task_id=draft.task_id)
    return given.exists()
