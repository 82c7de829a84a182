"""Calls to upstreams that no client asked for: tests, discovery of models, reachability."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings

from agenthub.core.crypto import Unreadable
from agenthub.core.outbound import Answer, OutboundError, fetch, reach
from agenthub.core.settings_store import runtime_settings
from providers.models import Backend
from providers.rules.discovery import NoModelList, Proposal, listed_models, model_name, proposals
from providers.rules.probing import Diagnosis, auth_headers, diagnosis_of, probe_path, trial_completion
from providers.rules.redaction import response_summary
from providers.rules.table import ApiKind, ErrorKind
from providers.services.backends import backend_tested
from providers.services.keys import api_key_opened, extra_headers_opened

REACH_SECONDS = 2.0
MOST_AT_ONCE = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The outcome of a test of one backend."""

    diagnosis: Diagnosis
    status_code: int | None = None  # None where no answer came
    latency_ms: float | None = None
    models: tuple[str, ...] = ()
    response: str = ""  # the beginning of the upstream's words when it refused, secrets removed
    error_cleared: bool = False

    @property
    def ok(self) -> bool:
        """Whether the backend can be used."""
        return self.diagnosis.ok


@dataclass(frozen=True, slots=True)
class _Call:
    """A probe before it is sent: plain values, so that no model is touched on the event loop."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    json: dict[str, object] | None
    timeout_seconds: float

    @property
    def trial(self) -> bool:
        """Whether the upstream bills it."""
        return self.json is not None


class NoMapping(Exception):
    """A trial completion needs a model, and the backend maps none."""


def backend_test(backend: Backend, *, completion: bool = False) -> Tested:
    """Call the upstream for real and say how it went; a success ends the error that it disproves.

    A backend whose quota was spent, or `completion`, is tried with the smallest completion, which the upstream bills;
    others are only asked for their models.
    """
    return backends_test([backend], completion=completion)[0]


def backends_test(backends: list[Backend], *, completion: bool = False) -> list[Tested]:
    """Test many at once, each within the time of one; the outcomes are in the order of `backends`."""
    calls = [_prepared(backend, completion) for backend in backends]
    answers = iter(_run(_together([call for call in calls if isinstance(call, _Call)])))
    return [
        _noted(backend, call, next(answers)) if isinstance(call, _Call) else call
        for backend, call in zip(backends, calls, strict=True)
    ]


def _prepared(backend: Backend, completion: bool) -> "_Call | Tested":
    try:
        if completion or backend.error_kind == ErrorKind.QUOTA:
            return _trial(backend)
        return _call(backend, "GET", probe_path(runtime_settings().health_probe_endpoint))
    except NoMapping:
        return Tested(diagnosis=Diagnosis("no_model", "A trial completion needs a model; add a model mapping first."))
    except Unreadable as problem:
        return Tested(diagnosis=Diagnosis("key_unreadable", f"{problem} Enter the API key again."))


def _trial(backend: Backend) -> "_Call":
    mapping = backend.mappings.order_by("canonical").first()
    if mapping is None:
        raise NoMapping
    path, body = trial_completion(ApiKind(backend.api), mapping.native_id or mapping.canonical)
    return _call(backend, "POST", path, body)


def _noted(backend: Backend, call: "_Call", answer: Answer | OutboundError) -> Tested:
    if isinstance(answer, OutboundError):
        backend_tested(backend_id=backend.id, ok=False, trial=call.trial, status_code=None, latency_ms=None)
        return Tested(diagnosis=Diagnosis(answer.code, str(answer)))
    return _judged(backend, answer, call.trial)


def _judged(backend: Backend, answer: Answer, trial: bool) -> Tested:
    summary = response_summary(answer.body.decode("utf-8", "replace"), (api_key_opened(backend),))
    diagnosis = diagnosis_of(answer.status, summary.lower())
    models: tuple[str, ...] = ()
    if diagnosis.ok and not trial:
        try:
            models = tuple(model_name(entry) for entry in listed_models(answer.body))
        except NoModelList as problem:
            diagnosis = Diagnosis("not_a_model_list", f"{problem} Check the base URL and its version.")
    cleared = backend_tested(
        backend_id=backend.id,
        ok=diagnosis.ok,
        trial=trial,
        status_code=answer.status,
        latency_ms=answer.latency_ms,
    )
    return Tested(
        diagnosis=diagnosis,
        status_code=answer.status,
        latency_ms=answer.latency_ms,
        models=models,
        response="" if diagnosis.ok else summary,
        error_cleared=cleared,
    )


@dataclass(frozen=True, slots=True)
class Discovered:
    """What an upstream offers."""

    diagnosis: Diagnosis
    proposals: tuple[Proposal, ...] = ()


def backend_discover(backend: Backend) -> Discovered:
    """Ask the upstream for its models and propose a mapping for each; nothing is saved."""
    try:
        answer = _run(_sent(_call(backend, "GET", probe_path("none"))))
        if isinstance(answer, OutboundError):
            return Discovered(Diagnosis(answer.code, str(answer)))
        if answer.status >= 300:
            return Discovered(diagnosis_of(answer.status, answer.body[:2000].decode("utf-8", "replace").lower()))
        entries = listed_models(answer.body)
    except Unreadable as problem:
        return Discovered(Diagnosis("key_unreadable", f"{problem} Enter the API key again."))
    except NoModelList as problem:
        return Discovered(Diagnosis("not_a_model_list", f"{problem} Check the base URL and its version."))
    mapped = list(backend.mappings.all())
    found = proposals(
        entries,
        canonical={mapping.canonical for mapping in mapped},
        native={mapping.native_id for mapping in mapped},
    )
    return Discovered(Diagnosis("ok", f"The upstream lists {len(found)} models."), tuple(found))


def reach_warning(api_base_url: str) -> str | None:
    """Why a connection to the base URL does not come about; None where it does. No request is sent."""
    allow_private = settings.ENVIRONMENT.allow_private_upstreams
    try:
        _run(reach(api_base_url, allow_private=allow_private, timeout_seconds=REACH_SECONDS))
    except OutboundError as problem:
        return f"The URL is saved, but was not reachable just now: {problem}"
    return None


def _call(backend: Backend, method: str, path: str, json: dict[str, object] | None = None) -> _Call:
    headers = auth_headers(ApiKind(backend.api), api_key_opened(backend)) | extra_headers_opened(backend)
    url = backend.api_base_url.rstrip("/") + path
    return _Call(method, url, headers, json, runtime_settings().health_check_timeout_seconds)


async def _sent(call: _Call) -> Answer | OutboundError:
    try:
        return await fetch(
            call.method,
            call.url,
            headers=call.headers,
            json=call.json,
            allow_private=settings.ENVIRONMENT.allow_private_upstreams,
            timeout_seconds=call.timeout_seconds,
        )
    except OutboundError as problem:
        return problem


async def _together(calls: list[_Call]) -> list[Answer | OutboundError]:
    places = asyncio.Semaphore(MOST_AT_ONCE)

    async def in_turn(call: _Call) -> Answer | OutboundError:
        async with places:
            return await _sent(call)

    return await asyncio.gather(*map(in_turn, calls))


def _run(exchange: Coroutine[Any, Any, T]) -> T:
    # Probes are called from services and views on worker threads, where no event loop runs.
    return asyncio.run(exchange)
