"""Tests of backends, discovery of their models, whether they can be reached, and the probes of their health."""

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.conf import settings

from agenthub.core.clock import utc_now
from agenthub.core.crypto import Unreadable
from agenthub.core.outbound_errors import OutboundError
from agenthub.core.settings_store import runtime_settings
from providers.calls import Call, Outcome, calls_run, models_of, probes_run, reach_run
from providers.models import Backend
from providers.rules.azure import DEFAULT_API_VERSION, api_version_of
from providers.rules.diagnosis import Diagnosis
from providers.rules.discovery import Proposal, listed_models, proposals
from providers.rules.price_list import list_prices
from providers.rules.probing import auth_headers, probe_path, trial_completion
from providers.rules.redaction import response_summary
from providers.rules.table import ApiKind, ErrorKind, Probe
from providers.services.backends import backend_tested
from providers.services.health import backend_probed, backends_claim, health_expire
from providers.services.keys import api_key_opened, extra_headers_opened, way_opened

log = logging.getLogger(__name__)

REACH_SECONDS = 2.0


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


class NoMapping(Exception):
    """A trial completion needs a model, and the backend maps none."""


def backend_test(backend: Backend, *, completion: bool = False) -> Tested:
    """Call the upstream for real and say how it went; a success ends the error that it disproves.

    A backend whose quota was spent, or `completion`, is tried with the smallest completion, which the upstream bills;
    others are only asked for their models.
    """
    return backends_test([backend], completion=completion)[0]


def backends_test(backends: list[Backend], *, completion: bool = False) -> list[Tested]:
    """Test many at once, in the time of one; the outcomes are in the order of `backends`."""
    calls = [_prepared(backend, completion) for backend in backends]
    outcomes = iter(calls_run([call for call in calls if isinstance(call, Call)]))
    return [
        _noted(backend, call, next(outcomes)) if isinstance(call, Call) else call
        for backend, call in zip(backends, calls, strict=True)
    ]


def _prepared(backend: Backend, completion: bool) -> Call | Tested:
    try:
        if completion or backend.error_kind == ErrorKind.QUOTA:
            return _trial(backend)
        return _call(backend, probe_path(runtime_settings().health_probe_endpoint))
    except NoMapping:
        return Tested(diagnosis=Diagnosis("no_model", "A trial completion needs a model; add a model mapping first."))
    except Unreadable as problem:
        return Tested(diagnosis=_unreadable(problem))


def _unreadable(problem: Unreadable) -> Diagnosis:
    return Diagnosis("key_unreadable", f"{problem} Enter the API key and the other secrets again.")


def _trial(backend: Backend) -> Call:
    mapping = backend.mappings.order_by("canonical").first()
    if mapping is None:
        raise NoMapping
    model = mapping.native_id or mapping.canonical
    path, body = trial_completion(ApiKind(backend.api), model)
    return _call(backend, path, model=model, body=body)


def _call(backend: Backend, path: str, *, model: str = "", body: dict[str, object] | None = None) -> Call:
    api = ApiKind(backend.api)
    mappings = list(backend.mappings.order_by("canonical"))
    return Call(
        base_url=backend.api_base_url.rstrip("/"),
        api=api,
        path=path,
        api_version=api_version_of(mappings[0]) if mappings else DEFAULT_API_VERSION,
        headers=auth_headers(api, api_key_opened(backend)) | extra_headers_opened(backend),
        way=way_opened(backend),
        timeout_seconds=runtime_settings().health_check_timeout_seconds,
        allow_private=settings.ENVIRONMENT.allow_private_upstreams,
        model=model,
        body=body,
        mapped=tuple(mapping.native_id or mapping.canonical for mapping in mappings),
    )


def _noted(backend: Backend, call: Call, outcome: Outcome) -> Tested:
    answer, diagnosis = outcome.answer, outcome.diagnosis
    status_code, latency_ms = (answer.status, answer.latency_ms) if answer else (None, None)
    cleared = backend_tested(
        backend_id=backend.id, ok=diagnosis.ok, trial=call.trial, status_code=status_code, latency_ms=latency_ms
    )
    if answer is None:
        return Tested(diagnosis=diagnosis)
    summary = response_summary(answer.body.decode("utf-8", "replace"), (api_key_opened(backend),))
    return Tested(
        diagnosis=diagnosis,
        status_code=status_code,
        latency_ms=latency_ms,
        models=models_of(answer) if diagnosis.ok and not call.trial else (),
        response="" if diagnosis.ok else summary,
        error_cleared=cleared,
    )


def backends_probe(*, now: datetime) -> int:
    """Probe every enabled backend that is due, side by side, and note each outcome as it comes; how many there were.

    Nothing is billed, unless the operator has chosen a completion for a backend.
    """
    settings = runtime_settings()
    health_expire(now=now, settings=settings)
    probes = []
    for backend in backends_claim(now=now, settings=settings):
        try:
            probes.append((backend, _probe(backend)))
        except (NoMapping, Unreadable) as problem:
            log.warning("probe_impossible", extra={"backend": backend.id, "reason": type(problem).__name__})
    for place, outcome in probes_run([call for _, call in probes]):
        _probe_noted(*probes[place], outcome)
    return len(probes)


def _probe(backend: Backend) -> Call:
    if backend.probe == Probe.COMPLETION:
        return _trial(backend)
    return _call(backend, probe_path(runtime_settings().health_probe_endpoint))


def _probe_noted(backend: Backend, call: Call, outcome: Outcome) -> None:
    answer = outcome.answer
    state = backend_probed(
        backend_id=backend.id,
        status_code=answer.status if answer else None,
        latency_ms=answer.latency_ms if answer else None,
        reason=outcome.diagnosis.message,
        trial=call.trial,
        now=utc_now(),
    )
    if not outcome.diagnosis.ok:
        found = {"backend": backend.id, "state": state, "reason": outcome.diagnosis.message}
        log.info("probe_failed", extra=found)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What an upstream offers."""

    diagnosis: Diagnosis
    proposals: tuple[Proposal, ...] = ()


def backend_discover(backend: Backend) -> Discovered:
    """Ask the upstream for its models and propose a mapping for each; nothing is saved."""
    try:
        (outcome,) = calls_run([_call(backend, probe_path("none"))])
    except Unreadable as problem:
        return Discovered(_unreadable(problem))
    if outcome.answer is None or not outcome.diagnosis.ok:
        return Discovered(outcome.diagnosis)
    mapped = list(backend.mappings.all())
    found = proposals(
        listed_models(outcome.answer.body),
        canonical={mapping.canonical for mapping in mapped},
        native={mapping.native_id for mapping in mapped},
        list_prices=partial(list_prices, backend.api_base_url),
    )
    return Discovered(Diagnosis("ok", f"The upstream lists {len(found)} models."), tuple(found))


def reach_warning(backend: Backend) -> str | None:
    """Why a connection to the base URL does not come about; None where it does. No request is sent."""
    allow_private = settings.ENVIRONMENT.allow_private_upstreams
    try:
        way = way_opened(backend)
        reach_run(backend.api_base_url, way=way, allow_private=allow_private, timeout_seconds=REACH_SECONDS)
    except (OutboundError, Unreadable) as problem:
        return f"The URL is saved, but was not reachable just now: {problem}"
    return None
