"""An agent's checkpoints in its hub: `Checkpoints(url, token)`."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx

from agenthub.client.http import TIMEOUT_SECONDS, HubRefused, ask, sync_client

State = Mapping[str, Any]


class Checkpoints:
    """Save and load the state of one agent.

    It keeps to the agent's epoch: after somebody has restored a checkpoint, a save is refused (HubRefused with the
    code `stale_epoch`) until `latest` or `load` has been called, so that a late write never undoes a restore.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        client: httpx.Client | None = None,
    ) -> None:
        self._client = client or sync_client(url, token, timeout_seconds=timeout_seconds)
        self.epoch = 0
        self._auto_iteration: int | None = None
        self._auto_every = 5

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def save(
        self, state: State, *, kind: str = "manual", label: str = "", note: str = "", task_id: str | None = None
    ) -> dict[str, Any]:
        """Keep a state; it is on the hub's disk when this comes back. The answer is the checkpoint without it."""
        body: dict[str, Any] = {"state": state, "kind": kind, "label": label, "note": note, "epoch": self.epoch}
        if task_id is not None:
            body["task_id"] = task_id
        saved: dict[str, Any] = self._ask("POST", "checkpoints", json=body)
        if kind == "auto":
            self._auto_iteration = saved["iteration"]
        return saved

    def auto(self, state: State) -> dict[str, Any] | None:
        """Keep a state if its `iteration` is far enough from the last automatic checkpoint; None if it is not.

        The count goes on across restarts and after a restore, since the hub keeps it.
        """
        if self._auto_iteration is None:
            self._look()
        last, reached = self._auto_iteration or 0, int(state.get("iteration", 0))
        if reached - (last if reached >= last else 0) < self._auto_every:
            return None
        return self.save(state, kind="auto")

    def latest(self, *, task_id: str = "", any_version: bool = False) -> dict[str, Any] | None:
        """The newest checkpoint with its `state`, None if there is none; damaged ones are in `corrupt_skipped`."""
        params = {"task_id": task_id} | _flag(any_version)
        try:
            found = self._ask("GET", "checkpoints/latest", params=params)
        except HubRefused as problem:
            if problem.code == "checkpoint_not_found":
                return None
            raise
        return self._noted(found)

    def load(self, checkpoint_id: str, *, any_version: bool = False) -> dict[str, Any]:
        """One checkpoint with its `state`."""
        return self._noted(self._ask("GET", _path(checkpoint_id), params=_flag(any_version)))

    def list(self, *, task_id: str = "", limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
        """Checkpoints without their states, newest first."""
        params = {"task_id": task_id, "limit": limit, "offset": offset}
        found: list[dict[str, Any]] = self._ask("GET", "checkpoints", params=params)
        return found

    def update(self, checkpoint_id: str, **changes: Any) -> dict[str, Any]:
        """Change its `label`, `pinned` or `note`."""
        changed: dict[str, Any] = self._ask("PATCH", _path(checkpoint_id), json=changes)
        return changed

    def delete(self, checkpoint_id: str) -> None:
        """Delete it."""
        self._ask("DELETE", _path(checkpoint_id))

    def restore(self, checkpoint_id: str, *, reason: str = "") -> dict[str, Any]:
        """Go back to it; the answer has the new `epoch`. Load the state with `latest` afterwards."""
        done: dict[str, Any] = self._ask("POST", f"{_path(checkpoint_id)}/restore", json={"reason": reason})
        self._began(done)
        return done

    def rollback(self, steps: int = 1, *, reason: str = "") -> dict[str, Any]:
        """Go back by some checkpoints from the newest."""
        done: dict[str, Any] = self._ask("POST", "checkpoints/rollback", json={"steps": steps, "reason": reason})
        self._began(done)
        return done

    def diff(self, before: str, after: str) -> dict[str, Any]:
        """What differs between two states."""
        found: dict[str, Any] = self._ask("GET", f"{_path(after)}/diff", params={"with": before})
        return found

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        return ask(self._client, method, path, **more)

    def _began(self, done: Mapping[str, Any]) -> None:
        self.epoch, self._auto_iteration = done["epoch"], done["checkpoint"]["iteration"]

    def _noted(self, found: dict[str, Any]) -> dict[str, Any]:
        line = found["line"]
        self.epoch, self._auto_iteration, self._auto_every = line["epoch"], line["auto_iteration"], line["auto_every"]
        return found

    def _look(self) -> None:
        """Learn where the count stands, without taking over the epoch: that needs the state to be loaded."""
        epoch = self.epoch
        if self.latest() is None:
            self._auto_iteration = 0
        self.epoch = epoch


def _path(checkpoint_id: str) -> str:
    return f"checkpoints/{quote(checkpoint_id, safe='')}"


def _flag(any_version: bool) -> dict[str, str]:
    return {"any_version": "true"} if any_version else {}
