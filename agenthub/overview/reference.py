"""The description of the API, and the page that shows it."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agenthub.core.api import HouseView
from agenthub.core.api_access import AdminTokenAuthentication, StaffSessionAuthentication, TokenBearer


class IsStaff(BasePermission):
    """Whoever may come into the admin, or brings the token."""

    def has_permission(self, request: Request, _view: object) -> bool:
        """Whether the caller is of the staff."""
        user: User | TokenBearer | object = request.user
        return bool(getattr(user, "is_authenticated", False) and getattr(user, "is_staff", False))


_ACCESS = {
    "authentication_classes": (AdminTokenAuthentication, StaffSessionAuthentication),
    "permission_classes": (IsStaff,),
    "get_exception_handler": HouseView.get_exception_handler,
}


def schema(request: HttpRequest) -> HttpResponseBase:
    """The description in OpenAPI 3.1, as JSON."""
    # The machinery costs every process memory and start-up time, and is seldom asked for.
    from drf_spectacular.views import SpectacularJSONAPIView  # noqa: PLC0415

    view: Any = type("SchemaView", (SpectacularJSONAPIView,), dict(_ACCESS))
    response: HttpResponseBase = view.as_view()(request)
    return response


def docs(request: HttpRequest) -> HttpResponseBase:
    """The description as a page to try requests from, for people of the staff; its scripts come from this hub."""
    from drf_spectacular.views import SpectacularSwaggerSplitView  # noqa: PLC0415

    if not (request.user.is_active and request.user.is_staff):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    view: Any = type("DocsView", (SpectacularSwaggerSplitView,), {"permission_classes": ()})
    response: HttpResponseBase = view.as_view(url_name="schema")(request)
    return response
