"""What is common to all that processes share in Redis: names, leases, and whether it is shared at the moment.

Names begin with `ah1:` and a part of the hub's secret in braces: the version, and what keeps hubs apart and one hub's
keys together in a cluster.
"""

import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agenthub.core import clock
from proxy.redis_link import CALL_SECONDS
from proxy.redis_pipe import RedisPipe, Then
from proxy.state import scripts
from proxy.state.scripts import Script

LEASE_SECONDS = 10.0
"""After this time the requests of a process that has died no longer count as under way."""

MOST_PARTING = 10_000
"""Releases that are kept while Redis is away; of those beyond, the lease expires."""

RENEWALS_PER_CALL = 200


class Held(msgspec.Struct):
    """The lease of one request under way."""

    keys: tuple[bytes, bytes]  # the state, and the leases
    member: str
    kept: bool = True  # it stands among the leases; else it is only the turn of a trial
    trial: bool = False
    amount: int = 0  # picodollars that are reserved
    ends: float | bool = False  # the period for which they are


class Shared:
    """The one connection of a process, and what has to be said again when there is a new one.

    `redis_now` takes the place of the clock of Redis in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        on_lost: Callable[[str], None],
        call_seconds: float = CALL_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        redis_now: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = clock.monotonic_seconds,
    ) -> None:
        self.is_shared = False
        self.lease_seconds = lease_seconds
        self.monotonic = monotonic
        self.process = secrets.token_hex(6)
        self.pipe = RedisPipe(url, scripts=scripts.EVERY, on_lost=self._lost, call_seconds=call_seconds)
        self.names = _names(prefix)
        self.channel = channel(prefix).decode()
        self._on_lost = on_lost
        self._redis_now = redis_now
        self._ahead_seconds = 0.0  # of the clock of Redis before the monotonic one
        self._leases = 0
        self._held: dict[str, Held] = {}
        self._parting: deque[tuple[Script, Sequence[bytes], Mapping[str, Any]]] = deque(maxlen=MOST_PARTING)

    def name(self, kind: bytes, id_: str) -> tuple[bytes, bytes]:
        """The keys of the state and the leases of one backend or client key."""
        start = self.names + kind + b":" + id_.encode()
        return start, start + b":leases"

    def redis_time(self, monotonic: float) -> float:
        """A moment of this process's clock on that of Redis, as far as the two have been compared."""
        return monotonic + self._ahead_seconds

    # Calls

    def send(
        self, script: Script, keys: Sequence[bytes], ask: Mapping[str, Any], then: Then, *, at_once: bool = False
    ) -> None:
        """Run a script; `then` gets its answer, or None if there is none.

        Arguments are texts, numbers and booleans, or lists of those: Redis unpacks no bytes, and Lua has no None.
        """
        now = False if self._redis_now is None else self._redis_now()
        argument = msgspec.msgpack.encode({"now": now, "lease_seconds": self.lease_seconds, **ask})
        self.pipe.call(script, keys, argument, then, at_once=at_once)

    async def ask(
        self, script: Script, keys: Sequence[bytes], ask: Mapping[str, Any], *, unheard: Then
    ) -> list[Any] | None:
        """The answer of a script, None if there is none. If nobody waits for it any more, `unheard` gets it."""
        answered = self.pipe.future()

        def then(answer: Any) -> None:
            if answered.done():
                unheard(answer)
            else:
                answered.set_result(answer)

        self.send(script, keys, ask, then, at_once=True)
        answer: list[Any] | None = await answered
        return answer

    def compare_clocks(self, redis_now: float) -> None:
        """Redis has said what time it is."""
        self._ahead_seconds = redis_now - self.monotonic()

    # Leases

    def new_lease(self) -> str:
        """A name that no other lease has."""
        self._leases += 1
        return f"{self.process}.{self._leases}"

    def hold(self, lease: str, held: Held) -> None:
        """Renew a lease from now on."""
        self._held[lease] = held

    def let_go(self, lease: str) -> None:
        """It has ended."""
        self._held.pop(lease, None)

    def part(self, script: Script, keys: Sequence[bytes], ask: Mapping[str, Any]) -> None:
        """Say that a lease has ended: now, or as soon as Redis is back. Saying it twice does no harm."""
        if self.is_shared:
            self.send(script, keys, ask, no_matter)
        else:
            self._parting.append((script, keys, ask))

    def renew(self) -> None:
        """Let the leases of all requests under way live on."""
        every = list(self._held.values())
        for start in range(0, len(every), RENEWALS_PER_CALL):
            some = every[start : start + RENEWALS_PER_CALL]
            keys = [key for held in some for key in held.keys]
            leases = [(held.member, held.kept, held.trial, held.amount, held.ends) for held in some]
            self.send(scripts.RENEW, keys, {"leases": leases}, no_matter)

    # Being shared, or not

    def begin(self, restore: Callable[[], None]) -> None:
        """There is a connection: say what has ended meanwhile, what is known, what is under way. Then all is shared.

        Nothing is waited for, since Redis carries out what is said in this order.
        """
        while self._parting:
            script, keys, ask = self._parting.popleft()
            self.send(script, keys, ask, no_matter)
        restore()
        self.renew()
        self.is_shared = True

    def _lost(self, reason: str) -> None:
        self.is_shared = False
        self._on_lost(reason)


def channel(prefix: str) -> bytes:
    """Where the processes of a hub tell each other what can't wait for the next look."""
    return _names(prefix) + b"news"


def _names(prefix: str) -> bytes:
    return b"ah1:{%b}:" % prefix.encode()


def or_false(value: Any) -> Any:
    """The value as scripts are told it: Lua's tables have no place for None."""
    return False if value is None else value


def no_matter(_: Any) -> None:
    """For calls whose answer says nothing."""
