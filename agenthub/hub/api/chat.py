"""The API of what people and agents say to each other: threads, histories, and answers to the Butler."""

from typing import Any, ClassVar

import orjson
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import (
    BACKWARDS,
    HouseView,
    Operation,
    Query,
    backwards,
    fields_of,
    page_asked,
    text_asked,
)
from agenthub.core.api_access import administers
from agenthub.core.errors import BadRequest, NotFound, RoleNotAllowed
from agenthub.core.events import ApprovalAnswered, publish
from agenthub.hub.api.callers import PEOPLE, PEOPLE_AND_TOKEN, IsCaller, IsPerson, person_of
from agenthub.hub.models import Agent, Message, Participant, Thread
from agenthub.hub.rules.rights import Cards, Sender, may_send, may_write
from agenthub.hub.selectors import agent_card, messages_between, threads
from agenthub.hub.services.approvals import approval_answer
from agenthub.hub.services.inbox import sender_names
from agenthub.hub.services.participants import butler
from agenthub.hub.services.threads import thread_change, thread_create

TAGS = ("chat",)


class ThreadAnswer(serializers.Serializer[Any]):
    """A thread."""

    id = serializers.IntegerField(help_text="The conversation_id of its messages.")
    owner_user_id = serializers.IntegerField(source="owner_id")
    peer_user_id = serializers.IntegerField(source="peer_id")
    peer_name = serializers.CharField(source="peer.name")
    channel_kind = serializers.CharField(source="kind", help_text="butler_direct or agent_direct.")
    title = serializers.CharField()
    summary = serializers.CharField()
    is_default = serializers.BooleanField(help_text="Messages that name no thread go here.")
    is_pinned = serializers.BooleanField()
    is_archived = serializers.BooleanField()
    read_id = serializers.IntegerField(help_text="The newest message that its owner has read.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField(help_text="When something was said last.")


class ThreadInput(serializers.Serializer[Any]):
    """A new thread."""

    peer_user_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="An agent, or the Butler.")
    title = serializers.CharField(required=False, allow_blank=True, max_length=200)
    summary = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    is_pinned = serializers.BooleanField(required=False)


class ThreadChange(serializers.Serializer[Any]):
    """What is changed of a thread. What is not given stays as it is."""

    title = serializers.CharField(required=False, allow_blank=True, max_length=200)
    summary = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    is_pinned = serializers.BooleanField(required=False)
    is_archived = serializers.BooleanField(required=False)


class MessageAnswer(serializers.Serializer[Any]):
    """A message."""

    id = serializers.IntegerField()
    local_id = serializers.CharField(allow_null=True)
    conversation_id = serializers.IntegerField(allow_null=True)
    type = serializers.CharField(help_text="CHAT, TASK or CANCEL.")
    sender_id = serializers.IntegerField()
    sender_name = serializers.CharField()
    sender_role = serializers.CharField()
    receiver_id = serializers.IntegerField()
    target_id = serializers.IntegerField(help_text="The same, by the name that frames give it.")
    payload = serializers.JSONField(help_text="A text or an object.")
    stream_id = serializers.CharField()
    reply_to = serializers.IntegerField(allow_null=True)
    task_id = serializers.CharField()
    synthesized = serializers.BooleanField(help_text="Collected from a stream whose end never came.")
    timestamp = serializers.DateTimeField()


class ApprovalInput(serializers.Serializer[Any]):
    """An answer to a question of the Butler."""

    action_id = serializers.CharField(max_length=64)
    approved = serializers.BooleanField()


class ApprovalAnswer(serializers.Serializer[Any]):
    """That it counts."""

    status = serializers.CharField()
    action_id = serializers.CharField()
    approved = serializers.BooleanField()


class _PersonsView(HouseView):
    """A view of what is a person's own."""

    authentication_classes = PEOPLE
    permission_classes = (IsPerson,)


class ThreadsView(_PersonsView):
    """The threads of a person."""

    operations: ClassVar = {
        "get": Operation(
            "threads_list",
            "List your threads: what is pinned, then what was spoken in last",
            answer=ThreadAnswer,
            many=True,
            query=(
                Query("kind", help="butler_direct or agent_direct."),
                Query("peer_id", help="Only those with this agent, or with the Butler."),
                Query("q", help="Only those with this text in their titles."),
                Query("is_archived", help="true: those that are archived, all: these too."),
            ),
            tags=TAGS,
        ),
        "post": Operation(
            "threads_create",
            "Begin a thread with an agent or the Butler",
            answer=ThreadAnswer,
            body=ThreadInput,
            status=201,
            errors=(404, 409),
            tags=TAGS,
        ),
    }

    def get(self, request: Request) -> Response:
        """They."""
        kind, peer, archived = (text_asked(request, name) for name in ("kind", "peer_id", "is_archived"))
        if kind and kind not in Thread.Kind.values:
            raise BadRequest(f"kind must be one of {', '.join(Thread.Kind.values)}.", param="kind")
        if archived not in ("", "false", "true", "all"):
            raise BadRequest("is_archived must be true, false or all.", param="is_archived")
        found = threads(
            owner_id=person_of(request).id,
            kind=kind,
            peer_id=_number(peer, "peer_id") if peer else None,
            q=text_asked(request, "q"),
        )
        if archived != "all":
            found = found.filter(is_archived=archived == "true")
        page = page_asked(request, found, default_limit=100)
        return Response(ThreadAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Begin one, where the person may write."""
        values = fields_of(request, ThreadInput)
        person, peer = person_of(request), values.pop("peer_user_id")
        _refuse_unless_written(person, peer)
        thread = thread_create(owner_id=person.id, peer_id=peer, **values)
        return Response(ThreadAnswer(thread).data, status=201)


class ThreadView(_PersonsView):
    """One thread of a person."""

    operations: ClassVar = {
        "get": Operation("threads_get", "Show a thread", answer=ThreadAnswer, errors=(404,), tags=TAGS),
        "patch": Operation(
            "threads_update",
            "Name, pin or archive a thread; what is archived takes no messages that name no thread",
            answer=ThreadAnswer,
            body=ThreadChange,
            errors=(404,),
            tags=TAGS,
        ),
    }

    def get(self, request: Request, thread: str) -> Response:
        """It."""
        return Response(ThreadAnswer(_own(request, thread)).data)

    def patch(self, request: Request, thread: str) -> Response:
        """Change what is given."""
        row = _own(request, thread)
        values = fields_of(request, ThreadChange)
        changed = thread_change(thread_id=row.pk, owner_id=row.owner_id, values=values)
        return Response(ThreadAnswer(changed).data)


class ThreadMessagesView(_PersonsView):
    """What was said in a thread."""

    operations: ClassVar = {
        "get": Operation(
            "threads_messages",
            "What was said in a thread, the newest first",
            answer=MessageAnswer,
            many=True,
            paged=False,
            query=BACKWARDS,
            errors=(404,),
            tags=TAGS,
        )
    }

    def get(self, request: Request, thread: str) -> Response:
        """It."""
        return _messages(request, Message.objects.filter(thread_id=_own(request, thread).pk))


class HistoryView(_PersonsView):
    """What a person and another have said to each other, in all their threads."""

    operations: ClassVar = {
        "get": Operation(
            "chat_history",
            "What you and an agent, or the Butler, have said to each other, the newest first",
            answer=MessageAnswer,
            many=True,
            paged=False,
            query=BACKWARDS,
            errors=(404,),
            tags=TAGS,
        )
    }

    def get(self, request: Request, peer: str) -> Response:
        """It; also with an agent that is gone."""
        number = _somebody(peer)
        return _messages(request, messages_between(person_of(request).id, number))


class ButlerAgentView(HouseView):
    """What the Butler and an agent say to each other."""

    authentication_classes = PEOPLE_AND_TOKEN
    permission_classes = (IsCaller,)
    operations: ClassVar = {
        "get": Operation(
            "chat_butler_agent",
            "What the Butler and an agent have said to each other, the newest first; for administrators",
            answer=MessageAnswer,
            many=True,
            paged=False,
            query=BACKWARDS,
            errors=(404,),
            tags=TAGS,
        )
    }

    def get(self, request: Request, peer: str) -> Response:
        """It."""
        if not administers(request):
            raise RoleNotAllowed("Only administrators look on when the Butler talks to agents.")
        return _messages(request, messages_between(butler().pk, _somebody(peer)))


class ApprovalView(_PersonsView):
    """Answers to questions of the Butler."""

    operations: ClassVar = {
        "post": Operation(
            "approvals_answer",
            "Answer a question of the Butler; the first answer counts",
            answer=ApprovalAnswer,
            body=ApprovalInput,
            errors=(404, 409),
            tags=TAGS,
        )
    }

    def post(self, request: Request) -> Response:
        """Answer it, and tell the Butler and the other approvers."""
        person = person_of(request)
        if not person.approves:
            raise RoleNotAllowed("Only Operators and Administrators answer what the Butler asks.")
        values = fields_of(request, ApprovalInput)
        approval_answer(approver_id=person.id, **values)
        publish(
            ApprovalAnswered(
                **values, approver_id=person.id, approver_name=person.name, approver_role=person.role.value
            )
        )
        return Response({"status": "resolved", **values})


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound(f"{name} must be a number.", param=name)
    return int(text)


def _own(request: Request, thread: str) -> Thread:
    """A thread of the person that asks. Raises NotFound, also for the thread of somebody else."""
    number = _number(thread, "thread")
    found = threads(owner_id=person_of(request).id).filter(id=number).first()
    if found is None:
        raise NotFound(f"You have no thread {number}.", param="thread")
    return found


def _somebody(peer: str) -> int:
    number = _number(peer, "peer")
    if not Participant.objects.filter(id=number).exists():
        raise NotFound(f"There is nobody with the number {number}.", param="peer")
    return number


def _refuse_unless_written(person: Sender, peer_id: int) -> None:
    """Raise NotFound or RoleNotAllowed where a person could not send a CHAT."""
    agent = Agent.objects.filter(id=peer_id).first()
    members = agent.members.values_list("id", flat=True) if agent is not None else ()
    known = {agent.pk: agent_card(agent, members=members, peers=())} if agent is not None else {}
    denied = may_send(person, "CHAT") or may_write(person, peer_id, Cards(agents=known, butler=butler().pk))
    if denied is None:
        return
    if denied.code == "unknown_target":
        raise NotFound(denied.message, param="peer_user_id")
    raise RoleNotAllowed(denied.message)


def _messages(request: Request, rows: Any) -> Response:
    page = backwards(request, rows)
    names = sender_names({row.sender_id for row in page.rows}, name_of=lambda _: "")
    shown = [_shown(row, names.get(row.sender_id, "")) for row in page.rows]
    return Response(shown, headers=page.headers)


def _shown(row: Message, sender_name: str) -> dict[str, Any]:
    about = {
        "id": row.pk,
        "local_id": row.local_id,
        "conversation_id": row.thread_id,
        "type": row.type,
        "sender_id": row.sender_id,
        "sender_name": sender_name,
        "sender_role": row.sender_role,
        "receiver_id": row.target_id,
        "target_id": row.target_id,
        "payload": orjson.loads(row.payload),
        "stream_id": row.stream_id,
        "reply_to": row.reply_to,
        "task_id": row.task_id,
        "synthesized": row.synthesized,
        "timestamp": row.created_at,
    }
    return dict(MessageAnswer(about).data)
