"""How the families of providers are authenticated and write their errors. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the families besides the endpoints."""

    error_body: Callable[[int, str, str], bytes]  # of a status, a code (or "") and a message
    carries_key: Callable[[Mapping[str, str], str], bool]  # whether headers with lower-case names carry an API key
    openai_codes: bool = True  # whether its errors have codes, and OpenAI's


def _openai_error(status: int, code: str, message: str) -> bytes:
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code or None}})


def _anthropic_error(status: int, code: str, message: str) -> bytes:
    """Anthropic's errors have no code: one that a script gives stands in the place of the type."""
    kind = code or _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def _azure_error(status: int, code: str, message: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code or str(status), "message": message}})


def _by_bearer(headers: Mapping[str, str], api_key: str) -> bool:
    return headers.get("authorization") == f"Bearer {api_key}"


def _by_anthropic_headers(headers: Mapping[str, str], api_key: str) -> bool:
    return headers.get("x-api-key") == api_key and bool(headers.get("anthropic-version"))


def _by_api_key_header(headers: Mapping[str, str], api_key: str) -> bool:
    return headers.get("api-key") == api_key


OPENAI = Dialect(_openai_error, _by_bearer)
ANTHROPIC = Dialect(_anthropic_error, _by_anthropic_headers, openai_codes=False)
AZURE = Dialect(_azure_error, _by_api_key_header, openai_codes=False)
# Azure's path without deployments speaks as OpenAI does and takes the key in either way.
AZURE_V1 = Dialect(
    _openai_error, lambda headers, api_key: _by_bearer(headers, api_key) or _by_api_key_header(headers, api_key)
)
