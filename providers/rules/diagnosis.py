"""What an upstream's answer to a probe means: a word for programs, which stays the same, and a sentence for people."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from providers.rules.discovery import NoModelList, listed_models

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a probe found."""

    code: str
    message: str

    @property
    def ok(self) -> bool:
        """Whether the backend can be used."""
        return self.code == "ok"

    @property
    def wrong_path(self) -> bool:
        """Whether another base URL may be all that is wanting."""
        return self.code in ("not_found", "web_page")


_BY_STATUS = {
    400: ("refused", "The upstream refused the request itself (400); is the API kind right, and the model name?"),
    401: ("unauthorized", "The upstream does not accept the API key (401); enter a valid one."),
    402: ("quota", "The upstream wants payment (402); see to the account's balance."),
    403: ("forbidden", "The upstream forbids this API key what was asked (403); check the key's permissions."),
    404: ("not_found", "The upstream answered, but not at this path (404); check the base URL and its version."),
    405: ("not_found", "The upstream answered, but not to this method (405); check the base URL."),
    429: ("rate_limited", "The upstream answered that too many requests were made (429); try again later."),
}
_QUOTA = (
    "insufficient_quota",
    "quota_exceeded",
    "exceeded your current quota",
    "insufficient balance",
    "billing",
    "credit",
    "payment",
)
_KEY = re.compile(r"(?:invalid|incorrect|wrong|expired) api.?key|api.?key (?:is )?(?:not valid|invalid|expired)")
_PLAIN_ON_TLS = re.compile(r"plain http request|http request to an https server")
_MODEL = re.compile(
    r"(?:model|deployment).{0,120}?(?:not.?found|not exist|no longer|not available|deprecated)"
    r"|(?:unknown|invalid|no such|not a valid).{0,20}(?:model|deployment)"
    r"|not_found_error.{0,40}model:",
    re.DOTALL,
)


def diagnosis_of(status: int, words: str = "") -> Diagnosis:
    """What an upstream's HTTP status says about the backend; `words` is its answer in small letters."""
    if status < 300:
        return Diagnosis("ok", "The backend works.")
    if status == 429 and any(word in words for word in _QUOTA):
        return Diagnosis("quota", "The account's quota at the upstream is spent (429); see to its balance.")
    if status == 400 and _PLAIN_ON_TLS.search(words):
        return TLS_WANTED
    if status == 400 and _KEY.search(words):
        return Diagnosis("unauthorized", "The upstream does not accept the API key (400); enter a valid one.")
    if status in _BY_STATUS:
        return Diagnosis(*_BY_STATUS[status])
    if status < 400:
        return Diagnosis("redirect", f"The upstream redirects ({status}), which is not followed; enter the final URL.")
    if status >= 500:
        return Diagnosis("upstream_error", f"The upstream has a fault of its own ({status}); try again later.")
    return Diagnosis("refused", f"The upstream refused the request ({status}).")


TLS_WANTED = Diagnosis("tls_wanted", "The upstream speaks TLS at this port; begin the base URL with https://.")


def models_diagnosis(status: int, body: bytes) -> Diagnosis:
    """What an answer to a request for the list of models says."""
    found = diagnosis_of(status, _words(body))
    if not found.ok:
        return found
    if _is_page(body):
        return _WEB_PAGE
    try:
        listed_models(body)
    except NoModelList as problem:
        return Diagnosis("not_a_model_list", f"{problem} Check the base URL and its version.")
    return found


def trial_diagnosis(status: int, body: bytes) -> Diagnosis:
    """What an answer to a trial completion says."""
    words = _words(body)
    found = diagnosis_of(status, words)
    if found.ok:
        return found if _is_completion(body) else _WEB_PAGE if _is_page(body) else _NO_COMPLETION
    if status in (400, 404) and found.code in ("refused", "not_found") and _MODEL.search(words):
        return Diagnosis("wrong_model", f"The upstream does not know the model ({status}).")
    return found


_WEB_PAGE = Diagnosis("web_page", "A web page answered, and no API; check the base URL and its version.")
_NO_COMPLETION = Diagnosis("not_a_completion", "The answer is no completion; check the base URL and the API kind.")


def _words(body: bytes) -> str:
    return body[:20_000].decode("utf-8", "replace").lower()


def _is_page(body: bytes) -> bool:
    return body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def _is_completion(body: bytes) -> bool:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and not parsed.get("error")


def better_url(found: Diagnosis, url: str) -> Diagnosis:
    """The diagnosis once the same probe has worked at another base URL."""
    return Diagnosis("wrong_base_url", f"{found.message} The same call works at {url}: make that the base URL.")


def wrong_model(model: str, status: int, *, mapped: Sequence[str], listed: Sequence[str]) -> Diagnosis:
    """The diagnosis of a model that the upstream does not know; `listed` is its own list, empty where there is none."""
    known = set(listed)
    missing = [name for name in mapped if name not in known] if known else []
    if not missing:
        advice = "correct the native id of its mapping, or use Discover models."
    else:
        advice = f"of the mapped native ids these are not in its list: {_named(missing)}."
    return Diagnosis("wrong_model", f"The upstream does not know the model “{model}” ({status}); {advice}")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")


def perhaps_the_proxy(found: Diagnosis, status: int) -> Diagnosis:
    """The same where an outgoing proxy hands requests on: it answers some of them itself."""
    if status not in (403, 502, 503, 504):
        return found
    return Diagnosis(found.code, f"{found.message} It came by the outgoing proxy, which may have said so itself.")
