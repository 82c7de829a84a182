"""A model that only one test knows, served by scripted backends in a known order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any
from uuid import uuid4

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.seen import Seen
from agenthub.demo.standin.server import StandIn
from tests.hub import Hub, wait_until

POOLS = ("primary", "fallback", "third", "fourth")
"""One backend in each, since backends of one pool have no fixed order."""

INPUT_PRICE, OUTPUT_PRICE, CACHE_READ_PRICE = "0.0000025", "0.00001", "0.00000125"
PRICES = {"input": INPUT_PRICE, "output": OUTPUT_PRICE, "cacheRead": CACHE_READ_PRICE}


@dataclass(frozen=True, slots=True)
class Route:
    """The model, its backends by the names that the test gives them, and what the stand-in saw of them."""

    hub: Hub
    standin: StandIn
    model: str
    ids: dict[str, str]

    def script(self, name: str, *scripts: Script) -> None:
        """How the backend answers from now on; the last script is for all that follow."""
        self.standin.script(self.path(name), *scripts)

    def seen(self, name: str) -> list[Seen]:
        """The completions that the backend was asked for."""
        return [each for each in self.standin.seen(self.path(name)) if each.method == "POST"]

    def asked(self) -> dict[str, int]:
        """How often each backend was asked."""
        return {name: len(self.seen(name)) for name in self.ids}

    def wait_seen(self, name: str, condition: Any, *, count: int = 1) -> list[Seen]:
        """The first so many requests to a backend, once the condition holds for each of them."""
        self.standin.wait(lambda _: len(self.seen(name)) >= count and all(map(condition, self.seen(name)[:count])))
        return self.seen(name)[:count]

    def path(self, name: str) -> str:
        """The part of the stand-in's path that stands for the backend."""
        return f"{self.model}-{name}"

    def backend(self, name: str) -> dict[str, Any]:
        """The backend as the management API shows it."""
        found: dict[str, Any] = self.hub.management.request("GET", f"/backends/{self.ids[name]}")
        return found

    def backend_when(self, name: str, **expected: Any) -> dict[str, Any]:
        """The backend, once its fields are as expected."""

        def found() -> dict[str, Any] | None:
            backend = self.backend(name)
            return backend if {field: backend[field] for field in expected} == expected else None

        backend: dict[str, Any] = wait_until(found, f"Backend {name} with {expected}")
        return backend

    def cooldowns(self, name: str) -> list[dict[str, Any]]:
        """Its cooldown events at this moment, newest first."""
        events: list[dict[str, Any]] = self.hub.management.request(
            "GET", "/stats/cooldown", backend_id=self.ids[name], limit=100
        )
        return events

    def events(self, name: str, *, count: int = 1) -> list[dict[str, Any]]:
        """Its cooldown events, the oldest first, once there are as many as expected; they are written off the path."""
        found: list[dict[str, Any]] = wait_until(
            lambda: (listed := self.cooldowns(name)) and len(listed) >= count and listed, f"{count} events of {name}"
        )
        assert len(found) == count
        return found[::-1]

    def chat(self, **more: Any) -> dict[str, Any]:
        """The body of a chat request."""
        return {"model": self.model, "messages": [{"role": "user", "content": "Hello there"}], **more}

    def change(self, name: str, **fields: Any) -> None:
        """Change a backend."""
        self.hub.management.request("PATCH", f"/backends/{self.ids[name]}", fields)


def make_route(
    hub: Hub,
    standin: StandIn,
    names: Iterable[str],
    *,
    key: str,
    addresses: dict[str, str] | None = None,
    fields: dict[str, dict[str, Any]] | None = None,
    mappings: dict[str, dict[str, Any]] | None = None,
) -> Route:
    """Make a model with backends, one pool after the other, and come back when the proxy serves it.

    `addresses`, `fields` and `mappings` say what is special of a backend: its base URL, its fields, its mapping. Where
    there are more names than pools, the last pool gets the rest.
    """
    model = f"model-{uuid4().hex[:12]}"
    ids = {}
    pools = _pools(hub)
    for name, pool in zip(names, chain(pools, repeat(pools[-1])), strict=False):
        mapping = {"native_id": f"native-{name}", "cost": PRICES, **(mappings or {}).get(name, {})}
        backend = {
            "name": f"{model}-{name}",
            "api_base_url": (addresses or {}).get(name, standin.url(f"{model}-{name}")),
            "api_key": f"sk-upstream-{name}-{model}",
            "pool": pool,
            "rpm_limit": 10_000,
            # The stand-in's list of models is always there: a probe would end the errors that a test has made.
            "probe": "none",
            "model_mappings": {model: mapping},
            **(fields or {}).get(name, {}),
        }
        ids[name] = str(hub.management.request("POST", "/backends", backend)["id"])
    route = Route(hub, standin, model, ids)
    with hub.client(key) as client:
        wait_until(lambda: served_by(client, model) == len(ids), f"{model} is served by {len(ids)} backends")
    return route


def served_by(client: Any, model: str) -> int:
    """How many backends serve a model, as far as the proxy knows at this moment."""
    answer = client.get(f"/v1/models/{model}")
    return int(answer.json()["backends"]) if answer.status_code == 200 else 0


def _pools(hub: Hub) -> Sequence[str]:
    known = hub.management.request("GET", "/pools")
    for order, pool in enumerate(POOLS, start=1000):  # after those that are there from the start
        if pool not in known:
            hub.management.request("POST", "/pools", {"name": pool, "order": order})
    return POOLS
