"""The gateway of one process: who is connected here, and how messages, streams and news reach them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from agenthub.core.bridge import in_thread
from agenthub.core.clock import utc_now
from agenthub.core.events import ApprovalAnswered, ReportStored
from agenthub.hub.gateway.batches import Away
from agenthub.hub.gateway.bell import Audience, Bell
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.facts import Facts, counted, facts
from agenthub.hub.gateway.writer import Passing, Writer
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import Envelope, error_text, frame_text, moment_text, payload_text
from agenthub.hub.rules.rights import Cards, Denied, Role, Sender, is_open_to, needs_thread
from agenthub.hub.rules.streams import LOST_SECONDS, Stream, Streams
from agenthub.hub.services.inbox import Page
from agenthub.hub.services.logs import Report
from agenthub.hub.services.messages import Draft, Saved

logger = logging.getLogger(__name__)

AGENT_LOST = "agent_lost"
MOST_SPOKEN = 100_000


class Gateway:
    """The connections of this process, by whom they are of. All of it happens on the event loop."""

    def __init__(self, *, known: Facts, writer: Writer, bell: Bell) -> None:
        self.known = known
        self.writer = writer
        self.bell = bell
        self.connections: dict[int, list[Connection]] = {}
        self.acked: dict[int, int] = {}  # to be saved
        self.stale = asyncio.Event()
        self.watchers = asyncio.Event()  # somebody new wants to know who is there
        self.draining = False
        self.wrote = False  # messages, since the log of the database was tidied
        self.messages_stored = self.reports_lost = 0
        self.spoken: set[tuple[int, int]] = set()  # agents and people who have written to them, as far as is known here
        self.doubted: set[int] = set()  # agents of which another process says that it has a newer connection
        self.doubts = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.streams: dict[int, Streams] = {}
        bell.heard = self._heard

    @property
    def cards(self) -> Cards:
        """Everybody who can be written to."""
        return self.known.cards

    @property
    def epoch(self) -> str:
        """The word that changes when the numbers of inboxes went back."""
        return self.known.epoch

    def all(self) -> list[Connection]:
        """Every connection."""
        return [each for several in self.connections.values() for each in several]

    def is_online(self, participant_id: int) -> bool:
        """Whether somebody is connected to this process."""
        return participant_id in self.connections

    # Coming and going

    def add(self, connection: Connection) -> None:
        """A connection that may receive from now on."""
        here = self.connections.setdefault(connection.sender.id, [])
        if connection not in here:
            here.append(connection)

    def remove(self, connection: Connection) -> None:
        """A connection is gone; its streams get their end unless its owner is back in time."""
        left = self.connections.get(connection.sender.id, [])
        if connection in left:
            left.remove(connection)
        if not left:
            self.connections.pop(connection.sender.id, None)
        self.note_acked(connection)
        streams = self.streams.get(connection.sender.id)
        if not left and streams is not None:
            if streams.any:
                self._loop.call_later(LOST_SECONDS, self._streams_lost, connection.sender)
            else:
                del self.streams[connection.sender.id]

    def _streams_lost(self, sender: Sender) -> None:
        if sender.id in self.connections:
            return  # it is back, and goes on
        streams = self.streams.pop(sender.id, None)
        for name, stream in streams.lost() if streams is not None else ():
            self.synthesize(sender, name, stream, reason=AGENT_LOST)

    def streams_of(self, sender: Sender) -> Streams:
        """The streams that somebody has under way."""
        return self.streams.setdefault(sender.id, Streams())

    def came_if_person(self, connection: Connection) -> None:
        """A person has come: they are sent the text so far of streams to them, and who is there."""
        if not connection.sender.is_person or connection.legacy:
            return
        self._snapshots(connection.sender.id)
        self.bell.relay("came", connection.sender.id, "")
        self.watchers.set()

    def _snapshots(self, person_id: int) -> None:
        for sender_id, streams in self.streams.items():
            for name, stream in streams.towards(person_id):
                frame = {
                    "type": "CHAT_STREAM",
                    "sender_id": sender_id,
                    "sender_name": self.cards.name(sender_id),
                    "sender_role": "BUTLER" if sender_id == self.cards.butler else "AGENT",
                    "target_id": person_id,
                    "stream_id": name,
                    "idx": stream.next_idx - 1,
                    "payload": stream.text,
                    "snapshot": True,
                    "timestamp": moment_text(utc_now()),
                }
                self.relay(person_id, frame_text(frame), legacy=None)

    def replace_older(self, newest: Connection) -> None:
        """A connection is the one of its agent now: those that asked for that before it end."""
        for connection in list(self.connections.get(newest.sender.id, ())):
            if 0 < connection.number < newest.number:
                connection.close(Close.REPLACED)

    # Messages

    def submit(self, draft: Draft, told: Callable[[Saved | Denied | Away], None]) -> None:
        """Store a message; when it is on the disk, `told` hears first, then its target and who else may."""

        def done(outcome: Any) -> None:
            self.wrote = True
            self.messages_stored += isinstance(outcome, Saved)
            told(outcome)
            if isinstance(outcome, Saved) and not outcome.dup:
                self._deliver(outcome)

        self.writer.messages.submit(draft, done)

    def after_messages(self, call: Callable[[], None]) -> None:
        """Call when the messages that were submitted before are stored."""
        self.writer.messages.submit(Passing(), lambda _: call())

    def _deliver(self, saved: Saved) -> None:
        envelope, now = saved.envelope, self._loop.time()
        here = self.connections.get(envelope.target_id, ())
        for connection in here:
            connection.message(envelope, now=now)
        if not here or envelope.target_id not in self.cards.agents:
            self.bell.ring(envelope.target_id, envelope.seq)
        if envelope.sender_role in (Role.ADMIN, Role.MEMBER) and envelope.type == "CHAT":
            self.relay(envelope.sender_id, envelope.current(self.epoch, seq=False), legacy=envelope.legacy(seq=False))
        if saved.monitored:
            self._monitor(envelope)

    def _monitor(self, envelope: Envelope) -> None:
        """Administrators look on when the Butler and an agent talk."""
        text = frame_text(
            {
                "type": "BUTLER_AGENT_MESSAGE",
                "sender_id": envelope.sender_id,
                "sender_name": envelope.sender_name,
                "sender_role": envelope.sender_role,
                "target_id": envelope.target_id,
                "payload": {
                    "message_id": envelope.id,
                    "conversation_id": envelope.thread_id,
                    "content": orjson.loads(envelope.payload),
                },
                "timestamp": moment_text(envelope.created_at),
            }
        )
        self.to_viewers(text, legacy=text, audience="administrators")

    async def page(self, participant_id: int, after: int, most: int) -> Page:
        """The next messages of an inbox. Raises Away."""
        return await self.writer.page(participant_id, after, most, self.cards.name)

    def may_give(self, envelope: Envelope) -> bool:
        """Whether a message is given out; one that has run out is not, and its sender is told."""
        if envelope.sender_role in (Role.ADMIN, Role.MEMBER):
            self.note_spoken(envelope.target_id, envelope.sender_id)
        if envelope.expires_at is None or envelope.expires_at > utc_now():
            return True
        text = error_text(
            "expired", f"Message {envelope.id} to {envelope.target_id} was not received in time.",
            local_id=envelope.local_id,
        )  # fmt: skip
        self.relay(envelope.sender_id, text)
        return False

    def note_spoken(self, agent_id: int, person_id: int) -> None:
        """A person has written to an agent, which may write to them from now on."""
        if len(self.spoken) >= MOST_SPOKEN:
            self.spoken.clear()  # what is needed of it is looked up again
        self.spoken.add((agent_id, person_id))

    def synthesize(self, sender: Sender, stream_id: str, stream: Stream, *, reason: str) -> None:
        """Keep the text of a stream whose final CHAT never came, and tell its reader of the end."""
        text = stream.text + ("…" if stream.cut else "")
        draft = Draft(
            sender=sender,
            type="CHAT",
            target_id=stream.target_id,
            payload=payload_text(text),
            local_id=f"synthesized:{stream_id}"[:64],
            stream_id=stream_id,
            thread_id=stream.thread_id,
            reply_to=stream.reply_to,
            synthesized=True,
            needs_thread=needs_thread(sender, stream.target_id, self.cards),
        )

        def stored(outcome: Saved | Denied | Away) -> None:
            if not isinstance(outcome, Denied):
                self.after_messages(lambda: self.stream_end(sender, stream_id, stream.target_id, {"reason": reason}))

        self.submit(draft, stored)

    # What is not stored

    def piece(self, target_id: int, frame: dict[str, Any]) -> None:
        """A piece of a stream for a person."""
        for connection in self.connections.get(target_id, ()):
            connection.piece(dict(frame))
        self.bell.relay("piece", target_id, frame_text(frame))

    def stream_end(self, sender: Sender, stream_id: str, target_id: int, more: Mapping[str, Any]) -> None:
        """The end of a stream for a person."""
        frame = self.stamped(
            sender, {"type": "CHAT_STREAM_END", "target_id": target_id, "stream_id": stream_id, **more}
        )
        text = frame_text(frame)
        for connection in self.connections.get(target_id, ()):
            connection.stream_end(text)
        self.bell.relay("end", target_id, text)

    def stamped(self, sender: Sender, frame: Mapping[str, Any]) -> dict[str, Any]:
        """A frame with its sender and time, whatever its sender wrote."""
        return {
            **frame,
            "sender_id": sender.id,
            "sender_name": sender.name,
            "sender_role": sender.role.value,
            "timestamp": moment_text(utc_now()),
        }

    def relay(self, target_id: int, text: str, *, legacy: str | None = None) -> None:
        """A frame for somebody who may be there at this moment; what plain clients are sent instead, if anything."""
        for connection in self.connections.get(target_id, ()):
            _give(connection, text, legacy)
        self.bell.relay("frame", target_id, text, legacy)

    def to_viewers(self, text: str, *, legacy: str | None, audience: Audience, topic: str = "") -> None:
        """A frame for the people of an audience; with a topic, those of them who have asked for it."""
        self._viewers_here(text, legacy, audience, topic)
        self.bell.broadcast(text, legacy, audience, topic)

    def _viewers_here(self, text: str, legacy: str | None, audience: Audience, topic: str) -> None:
        for connection in self.all():
            if topic and topic not in connection.topics and topic.partition(":")[0] not in connection.topics:
                continue
            if connection.sender.is_person and self._is_in(connection.sender, audience):
                _give(connection, text, legacy)

    def _is_in(self, sender: Sender, audience: Audience) -> bool:
        if isinstance(audience, int):
            return self.may_see(sender, audience)
        if audience == "administrators":
            return sender.role is Role.ADMIN
        # A word of another version is for nobody here.
        return sender.approves if audience == "approvers" else audience == "everybody"

    def may_see(self, sender: Sender, agent_id: int | None) -> bool:
        """Whether a person may see what an agent reports."""
        if sender.sees_agents:
            return True
        card = self.cards.agents.get(agent_id) if agent_id is not None else None
        return agent_id is None or (card is not None and is_open_to(card, sender))

    def report(self, report: Report, *, shown: dict[str, Any] | None = None) -> None:
        """Store a report of an agent, and show it to people; losing some under pressure is allowed, and counted."""

        def stored(outcome: int | Away) -> None:
            if isinstance(outcome, Away):
                self.reports_lost += 1
                return
            if shown is None:
                return
            text = frame_text({"id": outcome, **shown})
            self.to_viewers(text, legacy=text, audience=report.agent_id)

        self.writer.logs.submit(report, stored)

    def report_stored(self, news: ReportStored) -> None:
        """Show people a report that came by HTTP."""
        agent = Sender(id=news.agent_id, name=news.agent_name, role=Role.AGENT)
        payload = {"level": news.level, "content": news.content}
        frame = self.stamped(agent, {"type": "SYSTEM_LOG", "target_id": 0, "payload": payload})
        text = frame_text({"id": news.number, **frame})
        self.to_viewers(text, legacy=text, audience=news.agent_id)

    # Approvals

    def to_approvers(self, text: str) -> None:
        """A question for the people who may answer it."""
        self.to_viewers(text, legacy=text, audience="approvers")

    def approval_answered(self, action_id: str, *, approved: bool, approver: Sender) -> None:
        """Tell the Butler and the other approvers that a question is answered."""
        payload = {"action_id": action_id, "approved": approved, "approver_id": approver.id}
        text = frame_text(
            self.stamped(approver, {"type": "AUTH_RESPONSE", "target_id": self.cards.butler, "payload": payload})
        )
        self.relay(self.cards.butler, text, legacy=text)
        status = {"action_id": action_id, "status": "APPROVED" if approved else "REJECTED", "approver_id": approver.id}
        update = frame_text(self.stamped(approver, {"type": "AUTH_STATUS_UPDATE", "target_id": 0, "payload": status}))
        self.to_approvers(update)

    def answered_by_http(self, news: ApprovalAnswered) -> None:
        """Tell the Butler and the approvers of an answer that came by HTTP."""
        approver = Sender(id=news.approver_id, name=news.approver_name, role=Role(news.approver_role))
        self.approval_answered(news.action_id, approved=news.approved, approver=approver)

    # Bookkeeping

    async def refresh(self) -> None:
        """Read anew who can be written to."""
        self.known = await in_thread(facts)

    async def refresh_if_changed(self) -> bool:
        """Read anew who can be written to, if that has changed; whether it had."""
        if await in_thread(counted) == self.known.counted:
            return False
        await self.refresh()
        return True

    def note_acked(self, connection: Connection) -> None:
        """Remember to save how far an inbox was received."""
        known = self.acked.get(connection.sender.id, 0)
        if connection.window.acked > known:
            self.acked[connection.sender.id] = connection.window.acked

    # Across processes

    def _heard(self, kind: str, *rest: Any) -> None:
        heard = getattr(self, f"_heard_{kind}", None)
        if heard is not None:  # else a word of another version
            heard(*rest)

    def _heard_ring(self, rings: list[tuple[int, int]]) -> None:
        for target_id, head in rings:
            for connection in self.connections.get(target_id, ()):
                connection.rung(head)

    def _heard_piece(self, target_id: int, text: str, _: None) -> None:
        for connection in self.connections.get(target_id, ()):
            connection.piece(orjson.loads(text))

    def _heard_end(self, target_id: int, text: str, _: None) -> None:
        for connection in self.connections.get(target_id, ()):
            connection.stream_end(text)

    def _heard_frame(self, target_id: int, text: str, legacy: str | None) -> None:
        for connection in self.connections.get(target_id, ()):
            _give(connection, text, legacy)

    def _heard_viewers(self, text: str, legacy: str | None, audience: Audience, topic: str) -> None:
        self._viewers_here(text, legacy, audience, topic)

    def _heard_session(self, agent_id: int) -> None:
        # Words may cross: which connection is the newest, only the row tells.
        if agent_id in self.connections:
            self.doubted.add(agent_id)
            self.doubts.set()

    def _heard_came(self, person_id: int, *_: Any) -> None:
        self._snapshots(person_id)


def _give(connection: Connection, text: str, legacy: str | None) -> None:
    if not connection.legacy:
        connection.control(text)
    elif legacy is not None:
        connection.control(legacy)
