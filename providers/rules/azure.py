"""Where Azure OpenAI takes a request: newer addresses are like OpenAI's, classic ones name deployment and version."""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

DEFAULT_API_VERSION = "2024-10-21"
"""The newest version of the classic address that is no preview; a mapping may name another."""


class _Mapping(Protocol):
    @property
    def compat(self) -> Mapping[str, object]: ...


def api_version_of(mapping: _Mapping) -> str:
    """The version that a mapping wants in the classic address: `api_version` in its `compat`, else the default."""
    named = mapping.compat.get("api_version")
    return named.strip() if isinstance(named, str) and named.strip() else DEFAULT_API_VERSION


def is_classic(base_path: str) -> bool:
    """Whether the path of a base URL leads to classic addresses."""
    return not base_path.rstrip("/").endswith("/openai/v1")


def azure_path(base_path: str, endpoint: str, deployment: str, api_version: str) -> str:
    """The request target below the host for `endpoint`, such as `chat/completions`, which may hold a query.

    A classic one names the deployment, but for an empty `deployment`: files and lists of models have none.
    """
    base, asked = base_path.rstrip("/"), endpoint.lstrip("/")
    if not is_classic(base):
        return f"{base}/{asked}"
    path, _, query = asked.partition("?")
    within = f"deployments/{quote(deployment, safe='')}/{path}" if deployment else path
    version = f"api-version={quote(api_version, safe='')}"
    return f"{base.removesuffix('/openai')}/openai/{within}?{f'{query}&' if query else ''}{version}"
