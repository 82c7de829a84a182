"""A client of the management API for tests, over Django's own test client."""

import json
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.test import Client, override_settings

TOKEN = "test-admin-token-0123456789"


def with_environment(**changes: Any) -> override_settings:
    """The environment with some of its values changed."""
    return override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, **changes))


class Management:
    """Asks the management API with the admin token, or as whoever `client` is signed in as."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Client(headers={"authorization": f"Bearer {TOKEN}"})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The response, whatever its status; its `json()` is the answer."""
        data = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        return self.client.generic(method, f"/api/admin/{path}", data, content_type="application/json")

    def good(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of a request that must succeed."""
        response = self.ask(method, path, body)
        assert response.status_code < 300, response.content
        return response.json()

    def error(self, status: int, method: str, path: str, body: Any = None) -> Any:
        """The error of a request that must be refused with `status`."""
        response = self.ask(method, path, body)
        assert response.status_code == status, response.content
        error = response.json()["error"]
        assert {"message", "type", "param", "code"} <= set(error)
        return error
