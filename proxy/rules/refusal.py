"""What a caller is told when nobody could answer."""

from collections.abc import Mapping, Sequence

from agenthub.core.errors import AllPoolsExhausted, BadRequest, Refused, UpstreamCredentialsRejected, UpstreamTimeout
from providers.rules.table import ErrorKind
from proxy.rules.routing import PassedOver, Reason, explain
from proxy.rules.verdict import Blame, Verdict
from proxy.wire.untranslatable import Untranslatable

Failures = Mapping[str, Verdict]
"""The last verdict per backend that was tried, by its id."""


def refusal_of(
    model: str, passed: Sequence[PassedOver], failures: Failures, unable: Untranslatable | None, *, wait_seconds: float
) -> Refused:
    """The refusal of a request that every candidate was passed over for or has failed.

    `unable` is what the format of some backends has no place for; `wait_seconds` when another try is worth it.
    """
    passed = [_with_failure(each, failures) for each in passed]
    if unable is not None and not failures and all(each.reason is Reason.FAILED for each in passed):
        return BadRequest(unable.message, param=unable.field)
    if passed and all(_credentials_rejected(each, failures) for each in passed):
        return UpstreamCredentialsRejected(
            f"No backend for this model accepts the hub's credentials ({explain(passed)}). Its operator must act."
        )
    if failures and all(verdict.outcome.endswith("_timeout") for verdict in failures.values()):
        return UpstreamTimeout(f"No backend answered in time ({explain(passed)}).")
    return AllPoolsExhausted(f"No backend could serve {model!r}: {explain(passed)}.", retry_after_seconds=wait_seconds)


def _with_failure(passed: PassedOver, failures: Failures) -> PassedOver:
    failure = failures.get(passed.candidate.backend.id)
    if failure is None or passed.reason is not Reason.FAILED:
        return passed
    return PassedOver(passed.candidate, passed.reason, passed.ready_at, failure.outcome)


def _credentials_rejected(passed: PassedOver, failures: Failures) -> bool:
    failure = failures.get(passed.candidate.backend.id)
    if failure is not None:
        return failure.blame is Blame.CREDENTIALS
    return passed.reason is Reason.ERROR and passed.detail in (ErrorKind.CREDENTIALS, ErrorKind.KEY)
