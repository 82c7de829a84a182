"""What the proxy knows of the database: one immutable snapshot, replaced as a whole when something has changed.

Whoever changes something bumps a version counter in the same transaction. Every process looks at the counters once a
second, and at once when the change was its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.conf import settings as django_settings

from agenthub.core import versions
from agenthub.core.params import RuntimeSettings
from agenthub.core.settings_store import runtime_settings
from providers.rules.table import RoutingTable, routing_table
from providers.selectors import model_routes, routing_pools
from proxy.rules.caller import Caller
from proxy.rules.endpoints import KINDS
from proxy.rules.keyhash import pepper
from proxy.selectors import callers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Routes, keys and settings at one moment."""

    routing: RoutingTable
    callers: Mapping[bytes, Caller] = field(repr=False)
    settings: RuntimeSettings
    pepper: bytes = field(repr=False)
    open: bool = False  # AGENTHUB_PROXY_AUTH=open
    versions: Mapping[str, int] = field(default_factory=dict)


_current: Snapshot | None = None


def _routing() -> RoutingTable:
    return routing_table(routing_pools(), routes=model_routes(), kinds=KINDS)


def current() -> Snapshot:
    """This process's snapshot; loaded from the database if nobody has done so yet (sync code only)."""
    return _current if _current is not None else load()


def load() -> Snapshot:
    """Read everything from the database and make it current."""
    # The counters first: a change that comes between is then read twice rather than never.
    numbers = versions.read_all()
    environment = django_settings.ENVIRONMENT
    return install(
        Snapshot(
            routing=_routing(),
            callers=callers(),
            settings=runtime_settings(),
            pepper=pepper(environment.secret_key),
            open=environment.proxy_auth == "open",
            versions=numbers,
        )
    )


def newest() -> Snapshot:
    """The snapshot as the database has it now, for `install`; the current one if nothing has changed since."""
    snapshot = current()
    numbers = versions.read_all()
    changed = {name for name, number in numbers.items() if snapshot.versions.get(name) != number}
    if not changed:
        return snapshot
    if "routing" in changed:
        snapshot = replace(snapshot, routing=_routing())
    if "keys" in changed:
        snapshot = replace(snapshot, callers=callers())
    if "settings" in changed:
        snapshot = replace(snapshot, settings=runtime_settings())
    return replace(snapshot, versions=numbers)


def forget() -> None:
    """Let the next `current()` load anew."""
    global _current  # noqa: PLW0603
    _current = None


def install(snapshot: Snapshot) -> Snapshot:
    """Make it current."""
    global _current  # noqa: PLW0603 - one reference, swapped whole, read without a lock
    _current = snapshot
    return snapshot
