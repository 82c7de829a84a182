"""What each request of a chaos run is, and what each backend would do with it: both follow from the seed alone."""

import random
import re
from collections import Counter, defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from agenthub.demo.standin.script import Script
from agenthub.demo.standin.seen import Seen
from tests.faults.chaos.faults import FAULTS, GOOD, KINDS, Effect, Fault

FORMATS = ("chat", "messages", "responses")
_NUMBER = re.compile(rb"Question (\d+)\.")
_SLOW_CHUNKS, _SLOW_CHUNK_BYTES = 30, 100_000


class Manner(Enum):
    """How a client takes its answer."""

    READS = "reads"
    READS_SLOWLY = "reads slowly"
    LEAVES_AT_ONCE = "leaves at once"  # as soon as a backend has its request
    LEAVES_MIDWAY = "leaves midway"  # with the first content


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. A number between 0 and the length of the run names it."""

    number: int
    wire: str
    stream: bool
    manner: Manner
    wants_usage: bool
    chunks: int
    prompt_tokens: int
    cached_tokens: int

    def body(self, model: str) -> dict[str, Any]:
        """The body of the request; its question tells the stand-in which request it is."""
        question = f"Question {self.number}."
        common = {"model": model, "stream": self.stream}
        if self.wire == "responses":
            return {**common, "input": question}
        messages = [{"role": "user", "content": question}]
        if self.wire == "messages":
            return {**common, "messages": messages, "max_tokens": 100}
        options = {"stream_options": {"include_usage": True}} if self.wants_usage else {}
        return {**common, "messages": messages, **options}

    def good(self, backend: str) -> Script:
        """The answer as it should be: each of its chunks is one of a kind, over all requests and backends."""
        padding = "x" * _SLOW_CHUNK_BYTES if self.manner is Manner.READS_SLOWLY else ""
        return Script(
            text=f"<{self.number} {backend} {{n}}{padding}>",
            chunks=self.chunks,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.chunks + 2,
        )


@dataclass(frozen=True, slots=True)
class Given:
    """What a backend did with a request."""

    backend: str
    fault: Fault
    script: Script


class Plan:
    """The requests of one seed, and what the backends were drawn to do with them."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.given: defaultdict[int, list[Given]] = defaultdict(list)
        self._asked: defaultdict[int, Future[None]] = defaultdict(Future)

    def ask(self, number: int) -> Ask:
        """A request by its number."""
        chance = random.Random(f"{self.seed}:{number}")
        stream = chance.random() < 0.7
        manners = {Manner.READS: 90, Manner.LEAVES_AT_ONCE: 4}
        if stream:
            manners |= {Manner.LEAVES_MIDWAY: 5, Manner.READS_SLOWLY: 1}
        manner = chance.choices([*manners], [*manners.values()])[0]
        return Ask(
            number,
            chance.choice(FORMATS),
            stream,
            manner,
            wants_usage=chance.random() < 0.5,
            chunks=_SLOW_CHUNKS if manner is Manner.READS_SLOWLY else chance.randint(3, 8),
            prompt_tokens=chance.randint(50, 90),
            cached_tokens=chance.choice((0, 0, 32)),
        )

    def asked(self, number: int) -> "Future[None]":
        """Done as soon as a backend has the request."""
        return self._asked[number]

    def answer(self, backend: str, kind: str, seen: Seen, *, healthy: bool) -> Script:
        """What a backend does with a request that has reached it. Called on the stand-in's thread."""
        found = _NUMBER.search(seen.body)
        assert found is not None
        ask = self.ask(int(found.group(1)))
        fault = GOOD if healthy else self._draw(ask, backend, KINDS[kind])
        script = fault.script(ask.good(backend), KINDS[kind])
        # Who leaves must be gone before the answer is over.
        if ask.manner is Manner.LEAVES_AT_ONCE:
            fault, script = GOOD, Script(before_head_seconds=600.0)
        elif ask.manner is Manner.LEAVES_MIDWAY and fault.effect is not Effect.FAILS:
            fault, script = GOOD, msgspec.structs.replace(ask.good(backend), silent_after=2)
        self.given[ask.number].append(Given(backend, fault, script))
        if not (asked := self._asked[ask.number]).done():
            asked.set_result(None)
        return script

    def _draw(self, ask: Ask, backend: str, wire: str) -> Fault:
        times = sum(each.backend == backend for each in self.given[ask.number])
        chance = random.Random(f"{self.seed}:{ask.number}:{backend}:{times}")
        possible = [fault for fault in FAULTS if wire in fault.formats]
        return chance.choices(possible, [fault.weight for fault in possible])[0]

    def counts(self) -> Counter[str]:
        """How often each fault was met."""
        return Counter(given.fault.name for each in self.given.values() for given in each)
