"""Everything that the requests of one process share, made at its start by `lifespan.py`."""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agenthub.core import clock
from agenthub.core.money import usd_from_picodollars
from agenthub.core.timezones import time_zone
from providers.rules.table import Candidate, HealthState
from proxy.alerts import Alerts
from proxy.deadlines import Deadlines
from proxy.heads import Heads
from proxy.journal import Journal
from proxy.metrics import Metrics
from proxy.reporter import Reporter
from proxy.rules.budget import next_period_start
from proxy.rules.caller import Caller, Period
from proxy.rules.cors import allowed_origins
from proxy.rules.strategies import Ordering
from proxy.snapshot import Snapshot
from proxy.state.keys import KeyLimits
from proxy.state.protocol import Limits, State
from proxy.upstream import ConnectionPool
from proxy.waiting import WaitingRoom

BUDGET_WARNING, BUDGET_REACHED = "budget_warning", "budget_reached"

if TYPE_CHECKING:
    from proxy.repeats import Repeats
    from proxy.state.redis import SharedState

logger = logging.getLogger(__name__)


class Runtime:
    """The proxy of this process. All of it belongs to the event loop."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        state: State,
        journal: Journal,
        pool: ConnectionPool,
        uploads_dir: Path,
        repeats: "Repeats",
        sync_always: bool = False,
        shared: "SharedState | None" = None,
    ) -> None:
        self.snapshot = snapshot
        self.state = state
        self.shared = shared  # where limits are those of all processes together, unless it is away
        make_limits = partial(KeyLimits, processes=state.processes) if shared is None else shared.key_limits
        self.limits: Limits = make_limits(
            turnover=self._turnover, on_mark=self._budget_mark, on_renewed=self._budget_renewed
        )
        self.journal = journal
        self.pool = pool
        self.repeats = repeats
        self.uploads_dir = uploads_dir  # where forms lie while they pass through
        self.sync_always = sync_always  # the record is on the disk, not only written, before the last byte goes out
        self.heads = Heads()
        self.metrics = Metrics()
        self.reporter = Reporter()
        self.alerts = Alerts(self.reporter)
        self.room = WaitingRoom(state.give_back)
        self.deadlines = Deadlines()
        self.idle_connections = Deadlines(tick_seconds=1.0)  # of clients, while no request is under way on them
        self.chance = random.Random()
        self.rotation = 0
        self.inflight = 0
        self.cors_origins: frozenset[bytes] = frozenset()
        self.draining = False
        self.leaving = False
        self.drain_began = asyncio.Event()
        self.without_usage: set[str] = set()  # backends that have refused stream_options
        self._idle = asyncio.Event()
        self._idle.set()
        self.apply(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """Serve by `snapshot` from now on."""
        if snapshot.routing is not self.snapshot.routing:
            self.heads.clear()
            self.without_usage &= snapshot.routing.by_id.keys()
        self.snapshot = snapshot
        self.cors_origins = allowed_origins(snapshot.settings.cors_allowed_origins)
        self.repeats.apply(snapshot.settings)
        self.journal.max_bytes = snapshot.settings.journal_max_bytes
        self.journal.refuse = snapshot.settings.journal_full == "refuse"
        self.state.apply(
            snapshot.routing, snapshot.settings, now=clock.monotonic_seconds(), epoch=clock.epoch_seconds()
        )
        self.room.poke()

    def _turnover(self, period: Period, epoch: float) -> float:
        zone = time_zone(self.snapshot.settings.budget_time_zone)
        following = next_period_start(period, now=datetime.fromtimestamp(epoch, UTC), time_zone=zone)
        return float("inf") if following is None else following.timestamp()

    def _budget_mark(self, caller: Caller, percent: int, *, spent_picousd: int, period_ends_at: float) -> None:
        if caller.budget is None:
            return
        reached = percent >= 100
        rule = BUDGET_REACHED if reached else BUDGET_WARNING
        amount = usd_from_picodollars(caller.budget.amount_picousd)
        spent = usd_from_picodollars(spent_picousd)
        logger.warning(rule, extra={"client_key": caller.id, "percent": percent, "spent_usd": str(spent)})
        self.alerts.alert(
            rule,
            "critical" if reached else "warning",
            f"key:{caller.id}",
            f"The client key {caller.name} has spent ${spent:.2f} of its ${amount:.2f} for this {caller.budget.period}"
            + ("; its requests are refused." if reached else "."),
            scope=str(period_ends_at),
            details={"client_key": caller.id, "spent_usd": str(spent), "budget_usd": str(amount)},
        )

    def _budget_renewed(self, caller: Caller, *, period_ends_at: float) -> None:
        for rule in (BUDGET_WARNING, BUDGET_REACHED):
            self.alerts.over(rule, f"key:{caller.id}", scope=str(period_ends_at))

    @property
    def sharing(self) -> str | None:
        """`shared` where limits are those of all processes, `local` while Redis is away; None in an embedded hub."""
        return None if self.shared is None else "shared" if self.shared.is_shared else "local"

    def ordering(self, session: Callable[[], bytes]) -> Ordering:
        """How the candidates of one request are ordered."""
        self.rotation += 1
        state = self.state
        return Ordering(state.load, state.latency, _degraded, self.rotation, self.chance, session)

    def entered(self) -> None:
        """A request has come."""
        self.inflight += 1
        self._idle.clear()

    def left(self) -> None:
        """A request has ended."""
        self.inflight -= 1
        if self.inflight == 0:
            self._idle.set()

    def leave(self) -> None:
        """Other processes take what is new: end the pages that never would, and give each connection a last answer."""
        self.leaving = True
        self.drain_began.set()

    def drain(self) -> None:
        """Take no new requests: the hub stops. Those under way may finish."""
        self.draining = True
        self.drain_began.set()

    async def idle(self) -> None:
        """Come back when no request is under way."""
        await self._idle.wait()


def _degraded(candidate: Candidate) -> bool:
    return candidate.backend.health is HealthState.DEGRADED


_current: Runtime | None = None


def current() -> Runtime | None:
    """This process's runtime; None where no proxy runs (commands, workers)."""
    return _current


def install(runtime: Runtime | None) -> None:
    """Make `runtime` this process's own."""
    global _current  # noqa: PLW0603 - one per process by nature
    _current = runtime
