"""Requests of agents to their hub, and its refusals as exceptions."""

from collections.abc import Mapping
from typing import Any

import httpx

TIMEOUT_SECONDS = 30.0
_CONNECT_TRIES = 2


class HubRefused(Exception):
    """The hub's refusal: its status, its code and what it says."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class HubAway(Exception):
    """The hub can't be reached, or breaks off; what was asked may or may not have been done."""


def sync_client(url: str, token: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> httpx.Client:
    """A client of the hub for one agent; connections are kept."""
    transport = httpx.HTTPTransport(retries=_CONNECT_TRIES)
    return httpx.Client(base_url=_base(url), headers=_headers(token), timeout=timeout_seconds, transport=transport)


def async_client(url: str, token: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> httpx.AsyncClient:
    """The same, async."""
    transport = httpx.AsyncHTTPTransport(retries=_CONNECT_TRIES)
    return httpx.AsyncClient(base_url=_base(url), headers=_headers(token), timeout=timeout_seconds, transport=transport)


def answered(response: httpx.Response) -> Any:
    """The answer. Raises HubRefused."""
    if response.is_success:
        return response.json()
    try:
        error: Mapping[str, Any] = response.json()["error"]
        raise HubRefused(response.status_code, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        raise HubRefused(response.status_code, "unknown", response.text[:300]) from None


def ask(client: httpx.Client, method: str, path: str, **more: Any) -> Any:
    """Ask, and wait for the answer. Raises HubRefused, HubAway."""
    try:
        return answered(client.request(method, path, **more))
    except httpx.TransportError as problem:
        raise HubAway(f"The hub does not answer: {problem}") from problem


async def ask_async(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    """Ask, and await the answer. Raises HubRefused, HubAway."""
    try:
        return answered(await client.request(method, path, **more))
    except httpx.TransportError as problem:
        raise HubAway(f"The hub does not answer: {problem}") from problem


def _base(url: str) -> str:
    return f"{url.rstrip('/')}/api/agent/"


def _headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
