"""Calls to upstreams that no client asked for, as plain values on an event loop of their own: no model is touched here.

A call that fails is followed by what tells more: the same call at the URL that was probably meant, the list of
models, or a handshake.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from agenthub.core.outbound import Answer, fetch, reach
from agenthub.core.outbound_errors import AnswerInvalid, ConnectFailed, OutboundError, TlsFailed, TlsNotSpoken
from agenthub.core.side_by_side import as_finished
from providers.rules.azure import is_classic
from providers.rules.base_url import base_url_put_right
from providers.rules.diagnosis import (
    TLS_WANTED,
    Diagnosis,
    better_url,
    models_diagnosis,
    perhaps_the_proxy,
    trial_diagnosis,
    wrong_model,
)
from providers.rules.discovery import NoModelList, listed_models, model_name
from providers.rules.probing import MODELS_PATH, probe_url
from providers.rules.table import ApiKind, Way

MOST_AT_ONCE = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A probe before it is sent."""

    base_url: str
    api: ApiKind
    path: str
    api_version: str
    headers: dict[str, str] = field(repr=False)
    way: Way = field(repr=False)
    timeout_seconds: float
    allow_private: bool
    model: str = ""  # the native id that a trial completion names
    body: dict[str, object] | None = None  # of a trial completion
    mapped: tuple[str, ...] = ()  # the native ids that the backend maps

    @property
    def trial(self) -> bool:
        """Whether the upstream bills it."""
        return self.body is not None

    @property
    def url(self) -> str:
        """The whole URL."""
        return probe_url(
            self.base_url,
            self.api,
            self.path,
            deployment=self.model if self.trial else "",
            api_version=self.api_version,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a call."""

    diagnosis: Diagnosis
    answer: Answer | None = None  # None where no answer came


def calls_run(calls: list[Call]) -> list[Outcome]:
    """Send them all at once, each within twice its time with what follows it; the outcomes are in their order."""
    return _run(_together(calls))


def probes_run(calls: list[Call]) -> Iterator[tuple[int, Outcome]]:
    """Send them side by side, each within its time and without anything that follows; place and outcome of each, the
    first that is done first."""
    return as_finished([partial(_probed, call) for call in calls], at_once=MOST_AT_ONCE)


async def _probed(call: Call) -> Outcome:
    try:
        return await _sent(call)
    except OutboundError as problem:
        return Outcome(Diagnosis(problem.code, str(problem)))


def reach_run(url: str, *, way: Way, allow_private: bool, timeout_seconds: float) -> None:
    """See whether somebody takes a connection at `url`. Raises OutboundError."""
    _run(reach(url, way=way, allow_private=allow_private, timeout_seconds=timeout_seconds))


def _run(exchange: Coroutine[Any, Any, T]) -> T:
    # Probes are called from services and views on worker threads, where no event loop runs.
    return asyncio.run(exchange)


async def _together(calls: list[Call]) -> list[Outcome]:
    places = asyncio.Semaphore(MOST_AT_ONCE)

    async def in_turn(call: Call) -> Outcome:
        async with places:
            return await _diagnosed(call)

    return await asyncio.gather(*map(in_turn, calls))


async def _diagnosed(call: Call) -> Outcome:
    try:
        outcome = await _sent(call)
    except OutboundError as problem:
        return Outcome(await _failure(call, problem))
    found, answer = outcome.diagnosis, outcome.answer
    if answer is None or found.ok:
        return outcome
    if found.wrong_path:
        return Outcome(await _elsewhere(call, found), answer)
    if found.code == "wrong_model":
        return Outcome(await _models_compared(call, answer.status), answer)
    if call.way.proxy and call.base_url.startswith("http:"):
        return Outcome(perhaps_the_proxy(found, answer.status), answer)
    return outcome


async def _sent(call: Call) -> Outcome:
    answer = await fetch(
        "POST" if call.trial else "GET",
        call.url,
        headers=call.headers,
        json=call.body,
        way=call.way,
        allow_private=call.allow_private,
        timeout_seconds=call.timeout_seconds,
    )
    judge = trial_diagnosis if call.trial else models_diagnosis
    return Outcome(judge(answer.status, answer.body), answer)


async def _failure(call: Call, problem: OutboundError) -> Diagnosis:
    """What an error means; one that no HTTP came back may be of a port that speaks TLS."""
    odd = isinstance(problem, AnswerInvalid) or type(problem) is ConnectFailed
    if odd and call.base_url.startswith("http:") and await _speaks_tls(call):
        return TLS_WANTED
    return Diagnosis(problem.code, str(problem))


async def _speaks_tls(call: Call) -> bool:
    url = "https:" + call.base_url.removeprefix("http:")
    try:
        await reach(url, way=call.way, allow_private=call.allow_private, timeout_seconds=call.timeout_seconds)
    except TlsNotSpoken:
        return False
    except TlsFailed:
        return True  # it does, whatever else is wrong
    except OutboundError:
        return False
    return True


async def _elsewhere(call: Call, found: Diagnosis) -> Diagnosis:
    """The same call at the base URL that was probably meant, to name it where it works."""
    url = base_url_put_right(call.base_url, call.api)
    if url == call.base_url:
        return found
    try:
        outcome = await _sent(replace(call, base_url=url))
    except OutboundError:
        return found
    return better_url(found, url) if outcome.diagnosis.ok else found


async def _models_compared(call: Call, status: int) -> Diagnosis:
    listed: tuple[str, ...] = ()
    if call.api is ApiKind.AZURE_OPENAI and is_classic(urlsplit(call.base_url).path):
        # Classic addresses name deployments, and the list names the models below them.
        return wrong_model(call.model, status, mapped=call.mapped, listed=listed)
    try:
        outcome = await _sent(replace(call, body=None, path=MODELS_PATH))
        if outcome.diagnosis.ok and outcome.answer is not None:
            listed = models_of(outcome.answer)
    except OutboundError:
        pass  # without the list the message is shorter
    return wrong_model(call.model, status, mapped=call.mapped, listed=listed)


def models_of(answer: Answer) -> tuple[str, ...]:
    """The names in a list of models; none where it is no list."""
    try:
        return tuple(model_name(entry) for entry in listed_models(answer.body))
    except NoModelList:
        return ()
