"""What a probe asks of each kind of upstream."""

from urllib.parse import urlsplit

from providers.rules.azure import DEFAULT_API_VERSION, azure_path
from providers.rules.table import ApiKind

ANTHROPIC_VERSION = "2023-06-01"
MODELS_PATH = "/models"


def auth_headers(api: ApiKind, api_key: str) -> dict[str, str]:
    """The headers that carry the API key, none without one, and the version that Anthropic wants of everybody."""
    match api:
        case ApiKind.ANTHROPIC_MESSAGES:
            return ({"x-api-key": api_key} if api_key else {}) | {"anthropic-version": ANTHROPIC_VERSION}
        case ApiKind.AZURE_OPENAI:
            return {"api-key": api_key} if api_key else {}
        case _:
            return {"authorization": f"Bearer {api_key}"} if api_key else {}


def probe_path(setting: str) -> str:
    """The path below the base URL that is asked for models; where probing is off, a test still asks `/models`."""
    return MODELS_PATH if setting == "none" else "/" + setting.lstrip("/")


def probe_url(
    base_url: str, api: ApiKind, path: str, *, deployment: str = "", api_version: str = DEFAULT_API_VERSION
) -> str:
    """The whole URL of a path below a base URL; `deployment` and `api_version` are of meaning to Azure alone."""
    if api is not ApiKind.AZURE_OPENAI:
        return base_url.rstrip("/") + path
    parsed = urlsplit(base_url)
    return f"{parsed.scheme}://{parsed.netloc}{azure_path(parsed.path, path, deployment, api_version)}"


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
