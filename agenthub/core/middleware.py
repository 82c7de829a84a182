"""What every answer of Django carries: a request id and a content security policy."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from agenthub.core.ids import request_id
from agenthub.core.logs import current_request_id

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        # The admin's Alpine evaluates its attributes; scripts inside pages are never run.
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
_GIVEN_ID = re.compile(r"[A-Za-z0-9_.:-]{8,128}")

GetResponse = Callable[[HttpRequest], Any]


class _Middleware:
    """Works in front of sync and async views without a thread hop."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self._async(request) if self.is_async else self._sync(request)

    def _sync(self, request: HttpRequest) -> HttpResponseBase:
        with_request = self.before(request)
        response: HttpResponseBase = self.get_response(request)
        self.after(with_request, response)
        return response

    async def _async(self, request: HttpRequest) -> HttpResponseBase:
        with_request = self.before(request)
        response: HttpResponseBase = await self.get_response(request)
        self.after(with_request, response)
        return response

    def before(self, request: HttpRequest) -> str:
        """Called with the request; what it answers is handed to `after`."""
        return ""

    def after(self, remembered: str, response: HttpResponseBase) -> None:
        """Called with the response."""


class RequestIdMiddleware(_Middleware):
    """Gives every request an id, or keeps a reasonable one that the client sent; log lines carry it."""

    def before(self, request: HttpRequest) -> str:
        given = request.headers.get("x-request-id", "")
        chosen = given if _GIVEN_ID.fullmatch(given) else request_id()
        current_request_id.set(chosen)
        return chosen

    def after(self, remembered: str, response: HttpResponseBase) -> None:
        response.headers.setdefault("x-request-id", remembered)


class ContentSecurityPolicyMiddleware(_Middleware):
    """Pages run the house's own scripts only, and are shown in no frame."""

    def after(self, remembered: str, response: HttpResponseBase) -> None:
        response.headers.setdefault("content-security-policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("permissions-policy", PERMISSIONS_POLICY)
