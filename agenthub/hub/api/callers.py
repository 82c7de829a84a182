"""Who calls the API of the hub: a person by session or token, an agent by its own, or the bearer of the admin token."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agenthub.core.agents import AgentIdentity, agent_directory
from agenthub.core.api_access import (
    AdminTokenAuthentication,
    HasRole,
    StaffSessionAuthentication,
    TokenBearer,
    note_actor,
)
from agenthub.hub.rules.rights import Sender
from agenthub.hub.rules.tokens import PREFIX
from agenthub.hub.services.participants import participant_of, sender_of
from agenthub.hub.services.signin import PERSON_PREFIX, signed_in

MOST_TOKEN = 1_000


class PersonTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token of a person>`, as signing in gives it."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """The person; None where another kind of token came, or none. Raises AuthenticationFailed."""
        token = bearer(request, PERSON_PREFIX)
        if token is None:
            return None
        found = signed_in(token)
        if found is None or found.sender.user_id is None:
            raise AuthenticationFailed("The token does not work, or has run out; sign in again.")
        user = User.objects.get(id=found.sender.user_id)
        note_actor(user.get_username())
        return user, None

    def authenticate_header(self, _request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="AgentHub people"'


class OwnTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token of an agent>`."""

    def authenticate(self, request: Request) -> tuple[AgentIdentity, None] | None:
        """The agent; None where another kind of token came, or none. Raises AuthenticationFailed."""
        token = bearer(request, PREFIX)
        if token is None:
            return None
        agent = agent_directory().authenticate(token)
        if agent is None:
            raise AuthenticationFailed("This is no agent token that works.")
        note_actor(str(agent))
        return agent, None


PEOPLE = (PersonTokenAuthentication, StaffSessionAuthentication)
PEOPLE_AND_TOKEN = (PersonTokenAuthentication, AdminTokenAuthentication, StaffSessionAuthentication)
ALL = (PersonTokenAuthentication, OwnTokenAuthentication, AdminTokenAuthentication, StaffSessionAuthentication)


def bearer(request: Request, prefix: str) -> str | None:
    """The bearer token of a request, if it is of the kind that begins like this."""
    scheme, _, token = get_authorization_header(request).partition(b" ")
    shown = token.strip().decode("latin-1")
    ours = scheme.lower() == b"bearer" and shown.startswith(prefix) and len(shown) <= MOST_TOKEN
    return shown if ours else None


class IsPerson(BasePermission):
    """Whoever has signed in."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        """Whether it is a person."""
        return isinstance(request.user, User) and request.user.is_active


class IsCaller(BasePermission):
    """Whoever has shown who they are."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        """Whether somebody has."""
        known = isinstance(request.user, User | TokenBearer | AgentIdentity)
        return known and bool(getattr(request.user, "is_active", True))


class ReadsOrHasRole(HasRole):
    """Everybody reads, each what they may see; what changes something needs the role."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may make this request."""
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return IsCaller().has_permission(request, view)
        return super().has_permission(request, view)


def person_of(request: Request) -> Sender:
    """The person that asks, with what they may do at this moment."""
    user: User | Any = request.user
    return sender_of(user, participant_of(user).pk)


def viewer_of(request: Request) -> Sender | None:
    """The person that asks, or None for the bearer of the admin token, who sees everything."""
    return person_of(request) if isinstance(request.user, User) else None
