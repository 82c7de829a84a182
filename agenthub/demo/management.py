"""The management API of a running hub, as far as the demo needs it."""

from collections.abc import Mapping
from typing import Any

import httpx


class ManagementRefused(Exception):
    """The hub did not do what it was asked; the message holds its answer."""


class Management:
    """Creates what the demo needs; what stands already is brought up to date."""

    def __init__(self, base_url: str, *, token: str, timeout_seconds: float = 30) -> None:
        self._client = httpx.Client(
            base_url=f"{base_url}/api",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def request(self, method: str, path: str, json: Any = None, **query: Any) -> Any:
        """One call, and the JSON that it answered. Raises ManagementRefused."""
        return self._ask(method, f"/admin{path}", json=json, params=query)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._client.request(method, path, **more)
        if not answer.is_success:
            raise ManagementRefused(f"{method} {answer.url.path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def reports(self, agent: str) -> Any:
        """What an agent has reported, the newest first."""
        return self._ask("GET", "/messages", params={"agent_id": agent})

    def backend_ensure(self, **fields: Any) -> str:
        """The id of the backend with this name, which now has these fields."""
        for backend in self.request("GET", "/backends", limit=1000):
            if backend["name"] == fields["name"]:
                self.request("PATCH", f"/backends/{backend['id']}", fields)
                return str(backend["id"])
        return str(self.request("POST", "/backends", fields)["id"])

    def client_key_renew(self, name: str) -> str:
        """The text of a new client key; older ones of the same name are gone, since a key is shown only once."""
        for key in self.request("GET", "/keys", limit=1000):
            if key["name"] == name:
                self.request("DELETE", f"/keys/{key['id']}")
        return str(self.request("POST", "/keys", {"name": name})["key"])

    def agent(self, username: str) -> Any:
        """The agent of this name, if there is one."""
        found = self._ask("GET", "/users/agents", params={"q": username})
        return next((agent for agent in found if agent["username"] == username), None)

    def agent_token_renew(self, username: str, **fields: Any) -> str:
        """A new token of the agent of this name, which is made where there is none."""
        if (agent := self.agent(username)) is not None:
            return str(self._ask("PATCH", f"/users/agents/{agent['id']}/token", json={})["token"])
        return str(self._ask("POST", "/users/agents", json={"username": username, **fields})["token"])


def mapping(native_id: str, *, input_price: str, output_price: str) -> Mapping[str, Any]:
    """A model mapping with prices in USD per token."""
    return {"native_id": native_id, "cost": {"input": input_price, "output": output_price}}
