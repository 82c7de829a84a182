"""Who may watch the dashboard: the bearer of the admin token, or a signed-in person whose role may see backends."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from agenthub.core.api_access import AdminTokenAuthentication
from agenthub.core.errors import NotSignedIn, RoleNotAllowed

PERMISSION = "providers.view_backend"


@dataclass(frozen=True, slots=True)
class Watcher:
    """Somebody who was let in, by a session that may end; None: by the token, which does not."""

    user_id: int | None
    session_key: str | None


def may_watch(user: User | AnonymousUser) -> bool:
    """Whether a person may see the dashboard's figures."""
    return user.is_active and user.is_staff and user.has_perm(PERMISSION)


def watcher_of(request: HttpRequest) -> Watcher:
    """Who asks for data of the dashboard. Raises NotSignedIn or RoleNotAllowed."""
    try:
        if AdminTokenAuthentication().authenticate(Request(request)) is not None:
            return Watcher(None, None)
    except AuthenticationFailed as problem:
        raise NotSignedIn(str(problem.detail)) from None
    user = request.user
    if not (user.is_authenticated and user.is_active and user.is_staff):
        raise NotSignedIn("Sign in at /admin/ as a member of the staff, or send the AGENTHUB_ADMIN_TOKEN as bearer.")
    if not may_watch(user):
        raise RoleNotAllowed("Your role does not allow to see backends. Ask an administrator for another one.")
    return Watcher(user.pk, request.session.session_key)


def still_welcome(request: HttpRequest, watcher: Watcher) -> bool:
    """Whether who was let in some time ago would be let in now: signed out, locked or demoted people are not."""
    if watcher.user_id is None:
        return True
    if watcher.session_key is None or not request.session.exists(watcher.session_key):
        return False
    user = User.objects.filter(pk=watcher.user_id).first()
    return user is not None and may_watch(user)
