"""Who may use the management API: the bearer of AGENTHUB_ADMIN_TOKEN, or a person of the staff by their role."""

import hmac
from typing import Any

from auditlog.context import auditlog_value
from django.conf import settings
from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agenthub.core.access import is_administrator

TOKEN_ACTOR = "API token"  # noqa: S105 - a name, no token


class TokenBearer:
    """Whoever presents AGENTHUB_ADMIN_TOKEN; may do everything."""

    is_authenticated = True
    is_active = True
    is_staff = True
    pk = None

    def __str__(self) -> str:
        return TOKEN_ACTOR

    def has_perm(self, _permission: str) -> bool:
        """True: the token stands above the roles."""
        return True


class AdminTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <AGENTHUB_ADMIN_TOKEN>`, compared in constant time."""

    def authenticate(self, request: Request) -> tuple[TokenBearer, None] | None:
        """The bearer; None where no bearer token came. Raises AuthenticationFailed for a wrong one."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        expected = settings.ENVIRONMENT.admin_token
        if not expected or not hmac.compare_digest(token.strip(), expected.encode()):
            raise AuthenticationFailed("The token is not the AGENTHUB_ADMIN_TOKEN of this hub.")
        note_actor(TOKEN_ACTOR)
        return TokenBearer(), None

    def authenticate_header(self, _request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="AgentHub management API"'


def note_actor(actor: str) -> None:
    """Name someone who is no user as the actor of this request's entries in the audit trail."""
    context: dict[str, Any] | None = auditlog_value.get(None)
    if context is not None:
        context["additional_data"] = {"actor": actor}


def administers(request: Request) -> bool:
    """Whether the caller is an administrator, or bears the token, which stands above the roles."""
    user: User | TokenBearer | Any = request.user
    return isinstance(user, TokenBearer) or is_administrator(user)


class StaffSessionAuthentication(SessionAuthentication):
    """A signed-in person, as in the admin; changes need the CSRF token."""


class HasRole(BasePermission):
    """What the admin allows a person to do with a model, the API allows too: one set of permissions, by role."""

    message = "Your role does not allow this. Ask an administrator for another one."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may make this request."""
        user: User | TokenBearer | Any = request.user
        if not (user and user.is_authenticated and user.is_staff and user.is_active):
            return False
        options = view.permission_model._meta
        return bool(user.has_perm(f"{options.app_label}.{view.needed(request.method)}_{options.model_name}"))
