"""Whether each request of a chaos run ended as it had to, for its client and in the ledger."""

from collections.abc import Iterator
from typing import Any

from tests.faults.chaos.clients import Came
from tests.faults.chaos.faults import Effect
from tests.faults.chaos.plan import Ask, Given, Manner, Plan
from tests.faults.chaos.reading import Heard, Wrong, read_stream, read_whole

_LEAVES = (Manner.LEAVES_AT_ONCE, Manner.LEAVES_MIDWAY)
_SUMMED = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


class Judge:
    """Compares what came to clients and what is in the ledger with what the backends did."""

    def __init__(self, plan: Plan, came: dict[int, Came], *, backends: dict[str, str]) -> None:
        """`backends`: their ids by their names."""
        self._plan, self._came, self._backends = plan, came, backends
        self.broken = 0  # streams that were cut after content, and marked

    def complaints(self, records: list[dict[str, Any]]) -> list[str]:
        """All that is not as it must be; empty if all is well."""
        by_id = {record["id"]: record for record in records}
        found: list[str] = []
        for number, came in self._came.items():
            ask, given = self._plan.ask(number), self._plan.given[number]
            record = by_id.pop(came.request_id, None) if came.request_id else None
            last = self._answered(given, came)
            wrong = [*self._of_client(ask, last, came), *self._of_record(ask, last, came, record)]
            faults = ", ".join(f"{each.backend} {each.fault.name}" for each in given)
            found += [f"{number} ({ask.wire}, stream={ask.stream}, {ask.manner}; {faults}): {each}" for each in wrong]
        # Who left before the head does not know the id of its request.
        unknown = sum(ask.manner is Manner.LEAVES_AT_ONCE for ask in map(self._plan.ask, self._came))
        if len(by_id) != unknown:
            found.append(f"{len(by_id)} records of requests without an id, not {unknown}")
        found += [f"a client left, and the record says {record}" for record in by_id.values() if not _is_left(record)]
        return found

    def _answered(self, given: list[Given], came: Came) -> Given:
        """What the backend did that has answered.

        It is mostly the last, but one that was given up for its silence may see its request later than the next does.
        """
        return next((each for each in reversed(given) if self._backends[each.backend] == came.backend), given[-1])

    def _of_client(self, ask: Ask, last: Given, came: Came) -> Iterator[str]:
        if ask.manner is Manner.LEAVES_AT_ONCE:
            return
        if came.status != 200:
            yield f"status {came.status} {came.body[:600]!r}"
            return
        if came.backend != self._backends[last.backend]:
            yield f"it says that {came.backend} has answered"
        if ask.manner is Manner.LEAVES_MIDWAY:
            return
        try:
            heard = (read_stream if ask.stream else read_whole)(ask.wire, came.body)
        except Wrong as problem:
            yield str(problem)
            return
        yield from self._of_heard(ask, last, came, heard)

    def _of_heard(self, ask: Ask, last: Given, came: Came, heard: Heard) -> Iterator[str]:
        chunks = [last.script.text.replace("{n}", str(number)) for number in range(last.script.chunks)]
        if _breaks(ask, last):
            self.broken += 1
            if heard.complete or not heard.error or not came.cut:
                yield f"a broken stream that does not look so: {heard}, cut={came.cut}"
            if heard.text not in ("".join(chunks[:count]) for count in range(1, len(chunks) + 1)):
                yield f"a broken stream said {heard.text!r}"
            return
        if not heard.complete or heard.error or came.cut:
            yield f"not complete: {heard}, cut={came.cut}"
        if heard.text != "".join(chunks):
            yield f"it said {heard.text[:500]!r}"
        sees_usage = not (ask.stream and ask.wire == "chat") or ask.wants_usage
        if last.script.usage and sees_usage and heard.usage != (ask.prompt_tokens, last.script.completion_tokens):
            yield f"usage {heard.usage}"
        if not sees_usage and heard.usage is not None:
            yield "usage that nobody asked for"

    def _of_record(self, ask: Ask, last: Given, came: Came, record: dict[str, Any] | None) -> Iterator[str]:
        if record is None:
            if ask.manner is not Manner.LEAVES_AT_ONCE:
                yield f"no record of {came.request_id!r}"
            return
        said = (record["status"], record["error_type"], bool(record["partial"]))
        expected = (499, "client_gone", True) if ask.manner in _LEAVES else (200, "", False)
        if _breaks(ask, last):
            expected = (200, "stream_broken", True)
        if said != expected:
            yield f"the record says {said}"
        if came.backend and record["trail"][-1][0] != came.backend:
            yield f"the last attempt was at {record['trail'][-1]}, the answer from {came.backend}"
        if record["attempts"] != len(record["trail"]) or record["attempts"] > len(self._plan.given[ask.number]):
            yield f"{record['attempts']} attempts, {record['trail']}"
        if expected == (200, "", False):
            yield from _of_tokens(ask, last, record)


def _of_tokens(ask: Ask, last: Given, record: dict[str, Any]) -> Iterator[str]:
    if not last.script.usage:
        if not record["estimated"] or not record["output_tokens"]:
            yield f"no estimate: {record}"
        return
    given = (ask.prompt_tokens - ask.cached_tokens, ask.cached_tokens, 0, last.script.completion_tokens, 0)
    if tuple(record[name] for name in _SUMMED) != given or record["estimated"]:
        yield f"tokens {record}, given {given}"


def _breaks(ask: Ask, last: Given) -> bool:
    return ask.stream and last.fault.effect is Effect.BREAKS


def _is_left(record: dict[str, Any]) -> bool:
    return (record["status"], record["error_type"], bool(record["partial"])) == (499, "client_gone", True)


def sums_differ(records: list[dict[str, Any]], hours: list[dict[str, Any]], *, broken: int) -> list[str]:
    """Where the sums by hour are not the sums of the records."""
    well_ended = [record for record in records if record["status"] == 200 and not record["error_type"]]
    expected = {
        **{name: sum(record[name] for record in records) for name in _SUMMED},
        "request_count": len(records),
        "error_count": broken,
        "estimated_count": sum(bool(record["estimated"]) for record in records),
        "cost_usd": sum(record["cost_usd"] or 0 for record in records),
        "latency_count": len(well_ended),
        "latency_us_sum": sum(record["latency_us"] for record in well_ended),
    }
    found = {name: sum(hour[name] or 0 for hour in hours) for name in expected}
    wrong = [name for name in expected if found[name] != expected[name]]
    return [f"{name}: {found[name]} in the hours, not {expected[name]}" for name in wrong]
