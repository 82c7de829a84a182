"""What an upstream's answer means: for the request, and for the backend. The failure table of the proxy."""

from dataclasses import dataclass
from enum import Enum

import msgspec

from providers.rules.table import ErrorKind
from proxy.wire.unreadable import UNREADABLE


class Next(Enum):
    """What becomes of the request."""

    ANSWER = "answer"  # the backend's answer goes to the client
    PASS_BACK = "pass_back"  # noqa: S105 - the caller's own mistake: the upstream's error goes to the client untouched
    RETRY_SAME = "retry_same"  # once more on the same backend, quickly, if that was not done yet; else the next
    NEXT = "next"  # the next candidate; this one may come again when its cooldown ends
    NEXT_NEVER_SAME = "next_never_same"  # the next candidate, and this one never again for this request
    LARGER_CONTEXT = "larger_context"  # a candidate with a larger context window, else passed back


class Blame(Enum):
    """What becomes of the backend."""

    SUCCESS = "success"  # counts are reset
    NONE = "none"  # not its fault
    RATE_LIMITED = "rate_limited"  # cools down
    QUOTA = "quota"  # error until an operator or a trial completion clears it
    CREDENTIALS = "credentials"  # error until a probe succeeds
    MAPPING = "mapping"  # the mapping is flagged
    FAILURE = "failure"  # counted; cooled by the window rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and a word for the time line."""

    next: Next
    blame: Blame
    outcome: str

    @property
    def error_kind(self) -> ErrorKind:
        """The kind of `error` that the backend goes into; NONE if it does not."""
        kinds = {Blame.QUOTA: ErrorKind.QUOTA, Blame.CREDENTIALS: ErrorKind.CREDENTIALS}
        return kinds.get(self.blame, ErrorKind.NONE)


ANSWERED = Verdict(Next.ANSWER, Blame.SUCCESS, "ok")
CONNECT_FAILED = Verdict(Next.RETRY_SAME, Blame.FAILURE, "connect_failed")
RESET = Verdict(Next.RETRY_SAME, Blame.FAILURE, "reset")
INVALID = Verdict(Next.NEXT_NEVER_SAME, Blame.FAILURE, "invalid_answer")
ENDED_EARLY = Verdict(Next.NEXT_NEVER_SAME, Blame.FAILURE, "ended_early")
BODY_FAILED = Verdict(Next.NEXT_NEVER_SAME, Blame.NONE, "body_failed")
"""The hub itself could not read on in the request that it was to send."""

UNTRANSLATABLE = Verdict(Next.NEXT_NEVER_SAME, Blame.NONE, "untranslatable")
NOT_HERE = Verdict(Next.NEXT_NEVER_SAME, Blame.NONE, "404")
"""A file that another of the backends may have."""

CLIENT_STALLED = Verdict(Next.NEXT_NEVER_SAME, Blame.NONE, "client_stalled")
ADDRESS_REFUSED = Verdict(Next.NEXT_NEVER_SAME, Blame.NONE, "address_refused")


def timed_out(what: str) -> Verdict:
    """Silence: `what` is connect, headers, first_token, idle or total."""
    return Verdict(Next.NEXT_NEVER_SAME, Blame.FAILURE, f"{what}_timeout")


class _Body(msgspec.Struct):
    error: object = None
    detail: object = None
    message: object = None
    type: object = None
    code: object = None


_BODY = msgspec.json.Decoder(_Body)

_QUOTA = ("insufficient_quota", "billing", "quota_exceeded", "credit", "payment", "exceeded your current quota")
_CONTEXT = (
    "context_length_exceeded",
    "context length",
    "context size",
    "context window",
    "maximum context",
    "prompt is too long",
    "input token count",
)
_FILTER = ("content_filter", "content_policy", "responsibleai", "moderation")
_MODEL = ("model", "deployment", "no endpoints found")
_BY_WORD = {
    "rate_limit": 429,
    "too_many_requests": 429,
    "overloaded": 529,
    "authentication": 401,
    "invalid_api_key": 401,
    "permission": 403,
    "not_found": 404,
    "invalid_request": 400,
    "context_length": 400,
    "insufficient_quota": 402,
    "server_error": 500,
    "internal": 500,
    "timeout": 504,
}
LOWEST_STATUS, HIGHEST_STATUS = 400, 599


def error_words(body: bytes) -> str:
    """What an error body says, in lower case, from the usual places; bounded, and empty for what is no JSON object."""
    try:
        parsed = _BODY.decode(body)
    except UNREADABLE:
        return body[:500].decode("utf-8", "replace").lower()
    words: list[object] = [parsed.detail, parsed.message, parsed.type, parsed.code]
    if isinstance(parsed.error, dict):
        words += [parsed.error.get(part) for part in ("type", "code", "message", "status")]
    else:
        words.append(parsed.error)
    return " ".join(str(word) for word in words if word is not None)[:2000].lower()


def status_named_by(body: bytes) -> int:
    """The HTTP status that an error object inside a 200 names, by number or by word; 500 where it names none."""
    try:
        error = _BODY.decode(body).error
    except UNREADABLE:
        return 500
    parts = [error.get(part) for part in ("code", "status", "type")] if isinstance(error, dict) else [error]
    for part in parts:
        if isinstance(part, int | str) and str(part).isdecimal() and LOWEST_STATUS <= int(part) <= HIGHEST_STATUS:
            return int(part)
    words = " ".join(str(part) for part in parts).lower()
    return next((status for word, status in _BY_WORD.items() if word in words), 500)


def judge(status: int, body: bytes = b"") -> Verdict:
    """The verdict on an HTTP status with its error body; `body` may be cut, its first kilobytes are enough."""
    if status < 300:
        return ANSWERED
    words = error_words(body) if status in (400, 403, 404, 413, 422, 429) else ""
    return _by_status(status, words)


def _by_status(status: int, words: str) -> Verdict:
    named = str(status)
    match status:
        case 402:
            return Verdict(Next.NEXT, Blame.QUOTA, named)
        case 429:
            spent = any(word in words for word in _QUOTA)
            return Verdict(Next.NEXT, Blame.QUOTA if spent else Blame.RATE_LIMITED, "quota" if spent else named)
        case 400 | 403 | 413 | 422 if any(word in words for word in _FILTER):
            return Verdict(Next.PASS_BACK, Blame.NONE, "content_filter")
        case 401 | 403:
            return Verdict(Next.NEXT_NEVER_SAME, Blame.CREDENTIALS, named)
        case 400 if "credit balance" in words:
            return Verdict(Next.NEXT, Blame.QUOTA, "quota")
        case 400 | 413 | 422 if any(word in words for word in _CONTEXT):
            return Verdict(Next.LARGER_CONTEXT, Blame.NONE, "context_length")
        case 404:
            missing = any(word in words for word in _MODEL)
            return Verdict(Next.NEXT_NEVER_SAME, Blame.MAPPING if missing else Blame.FAILURE, named)
        case 408:
            return Verdict(Next.NEXT_NEVER_SAME, Blame.FAILURE, named)
        case _ if status >= 500:
            return Verdict(Next.RETRY_SAME, Blame.FAILURE, named)
        case _ if status >= 400:
            return Verdict(Next.PASS_BACK, Blame.NONE, named)
        case _:  # a redirect: not followed, since it could lead anywhere
            return Verdict(Next.NEXT_NEVER_SAME, Blame.FAILURE, "redirect")
