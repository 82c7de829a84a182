"""What a probe asks of each kind of upstream, and what an answer to it means."""

from dataclasses import dataclass

from providers.rules.table import ApiKind

ANTHROPIC_VERSION = "2023-06-01"
MODELS_PATH = "/models"


def auth_headers(api: ApiKind, api_key: str) -> dict[str, str]:
    """The headers that carry the API key; none without a key."""
    if not api_key:
        return {}
    match api:
        case ApiKind.ANTHROPIC_MESSAGES:
            return {"x-api-key": api_key, "anthropic-version": ANTHROPIC_VERSION}
        case ApiKind.AZURE_OPENAI:
            return {"api-key": api_key}
        case _:
            return {"authorization": f"Bearer {api_key}"}


def probe_path(setting: str) -> str:
    """The path below the base URL that is asked for models; where probing is off, a test still asks `/models`."""
    return MODELS_PATH if setting == "none" else "/" + setting.lstrip("/")


def trial_completion(api: ApiKind, model: str) -> tuple[str, dict[str, object]]:
    """Path and body of the smallest completion that the upstream would bill."""
    match api:
        case ApiKind.ANTHROPIC_MESSAGES:
            path, limit = "/messages", "max_tokens"
        case ApiKind.OPENAI_RESPONSES:
            return "/responses", {"model": model, "input": "ping", "max_output_tokens": 16}
        case _:
            path, limit = "/chat/completions", "max_tokens"
    return path, {"model": model, "messages": [{"role": "user", "content": "ping"}], limit: 1}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a probe found: a word for programs, a sentence for people."""

    code: str
    message: str

    @property
    def ok(self) -> bool:
        """Whether the backend can be used."""
        return self.code == "ok"


_BY_STATUS = {
    400: ("refused", "The upstream refused the request itself (400); is the API kind right, and the model name?"),
    401: ("unauthorized", "The upstream does not accept the API key (401); enter a valid one."),
    402: ("quota", "The upstream wants payment (402); see to the account's balance."),
    403: ("forbidden", "The upstream forbids this API key what was asked (403); check the key's permissions."),
    404: ("not_found", "The upstream answered, but not at this path (404); check the base URL and its version."),
    405: ("not_found", "The upstream answered, but not to this method (405); check the base URL."),
    429: ("rate_limited", "The upstream answered that too many requests were made (429); try again later."),
}


def diagnosis_of(status: int, words: str = "") -> Diagnosis:
    """What an upstream's HTTP status says about the backend."""
    if status < 300:
        return Diagnosis("ok", "The backend works.")
    if status == 429 and "quota" in words:
        return Diagnosis("quota", "The account's quota at the upstream is spent (429); see to its balance.")
    if status in _BY_STATUS:
        return Diagnosis(*_BY_STATUS[status])
    if status < 400:
        return Diagnosis("redirect", f"The upstream redirects ({status}), which is not followed; enter the final URL.")
    if status >= 500:
        return Diagnosis("upstream_error", f"The upstream has a fault of its own ({status}); try again later.")
    return Diagnosis("refused", f"The upstream refused the request ({status}).")
