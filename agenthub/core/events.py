"""All news that travels upwards in the house, and the one place where it is published.

An event is past tense, frozen, published after the commit, and stays inside this process: other processes learn of
changes from the version counters (`core/versions.py`). Listeners are joined in `agenthub/apps.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class RoutingChanged:
    """Backends, mappings, pools, client keys or settings have changed in the database."""


@dataclass(frozen=True, slots=True)
class AgentsChanged:
    """Agents, their tokens, or people and their roles have changed in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStored:
    """A report of an agent came by HTTP and is a row; those who watch are shown it."""

    number: int
    agent_id: int
    agent_name: str
    level: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswered:
    """A person has answered a question of the Butler by HTTP."""

    action_id: str
    approved: bool
    approver_id: int
    approver_name: str
    approver_role: str  # "ADMIN" or "MEMBER"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised:
    """Something is or was wrong that people should know of. Its listener writes to the database at once.

    So it is published from worker threads only, never on an event loop; and a publisher that would not lose it when
    the database is away publishes it again after a DatabaseError, as `Reporter` of `proxy/reporter.py` does.
    """

    rule: str  # a word of a small set, since it is a label of a metric: "budget_reached", "journal_filling", …
    severity: str  # "info", "warning" or "critical"
    source: str  # what it is about: "key:key_…", "backend:bkd_…", "pool:primary", …
    scope: str = ""  # tells alerts of one rule and source apart, such as the start of a budget's period
    summary: str  # one sentence
    details: Mapping[str, Any] = field(default_factory=dict)  # what JSON can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertResolved:
    """What an alert told of is over. Published as AlertRaised is; that there is no such alert is no matter."""

    rule: str
    source: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class LoopTurned:
    """The main loop of a part of this process has gone round. Published from any thread, as often as it likes: its
    listener only remembers it."""

    part: str  # "web", "routing", "flusher", "journal", "worker" or "scheduler"


@dataclass(frozen=True, slots=True)
class LoopEnded:
    """The main loop of a part has ended in good order. Published from worker threads, never on an event loop."""

    part: str


Event = TypeVar("Event")

_listeners: dict[type[Any], list[Callable[[Any], None]]] = defaultdict(list)


def subscribe(kind: type[Event], listener: Callable[[Event], None]) -> Callable[[], None]:
    """Call `listener` for every event of `kind`; the answer is a function that ends it.

    Listeners run in the publisher's thread and must be quick.
    """
    _listeners[kind].append(listener)
    return lambda: _listeners[kind].remove(listener)


def publish(event: object) -> None:
    """Tell every listener of the event's class."""
    for listener in tuple(_listeners[type(event)]):
        listener(event)
