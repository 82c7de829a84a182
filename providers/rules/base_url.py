"""What can be said of a backend's base URL before anybody calls it."""

import re
from urllib.parse import urlsplit

from agenthub.core.addresses import host_refusal
from providers.rules.azure import is_classic
from providers.rules.table import ApiKind

_VERSION = re.compile(r"^v\d+[a-z0-9]*$")
_WITHOUT_VERSION = frozenset({"https://api.perplexity.ai", "https://models.github.ai/inference"})
_LAST_VERSIONS = re.compile(r"(?:/v\d+[a-z0-9]*)+$")
_DEPLOYMENT = re.compile(r"/deployments(?:/[^/]*)?$")
_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/models", "/messages", "/responses")


def base_url_refusal(url: str, *, allow_private: bool) -> str | None:
    """Why `url` can't be a base URL at all; None where it can."""
    try:
        parsed = urlsplit(url)
        host, _ = parsed.hostname, parsed.port
    except ValueError:
        return f"“{url}” is not a URL; give one like https://host/v1."
    if parsed.scheme not in ("http", "https"):
        return f"The URL must begin with https:// or http://, not with “{parsed.scheme}”."
    if not host or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        return f"“{url}” names no host; give a URL like https://host/v1."
    if parsed.username is not None or parsed.password is not None:
        return "The URL holds a user name or password; give the API key in its own field."
    if parsed.query or parsed.fragment:
        return "The URL must end with its path; what follows “?” or “#” would be lost."
    return host_refusal(host, allow_private=allow_private)


def base_url_put_right(url: str, api: ApiKind = ApiKind.OPENAI_COMPLETIONS) -> str:
    """The base URL that `url` was most likely meant to be: without an endpoint, and with its version once."""
    bare = url.rstrip("/")
    endpoint = next((end for end in _ENDPOINTS if bare.endswith(end)), "")
    bare = bare.removesuffix(endpoint).rstrip("/")
    if api is ApiKind.AZURE_OPENAI:
        return _azure_put_right(bare)
    if bare in _WITHOUT_VERSION:
        return bare
    versions = _versions(bare)
    if not versions:
        return f"{bare}/v1"
    doubled = f"/{versions[0]}/{versions[0]}"
    return bare.replace(doubled, f"/{versions[0]}") if len(versions) != len(set(versions)) else bare


def _azure_put_right(bare: str) -> str:
    # Classic addresses have their version in the query, so a base without one is as good.
    bare = _DEPLOYMENT.sub("", bare)
    above = _LAST_VERSIONS.sub("", bare)
    if above == bare or not is_classic(urlsplit(bare).path):
        return bare
    return f"{above.removesuffix('/openai')}/openai/v1"


def probe_path_put_right(path: str) -> str:
    """A path for probes without the version, which the base URL has; `none` turns probing off."""
    parts = [part for part in path.strip().split("/") if part]
    while parts and _VERSION.match(parts[0]):
        parts.pop(0)
    return "none" if parts in ([], ["none"]) else "/" + "/".join(parts)


def base_url_warnings(url: str, api: ApiKind = ApiKind.OPENAI_COMPLETIONS) -> list[str]:
    """What looks wrong with a base URL that may be saved all the same, with a proposal."""
    bare = url.rstrip("/")
    right = base_url_put_right(url, api)
    if right == bare:
        return []
    versions = _versions(bare)
    if api is ApiKind.AZURE_OPENAI:
        why = "Azure takes https://NAME.openai.azure.com/openai/v1, or https://NAME.openai.azure.com alone"
    elif any(bare.endswith(end) for end in _ENDPOINTS):
        why = "The URL ends with the path of an endpoint, which the hub adds by itself"
    elif not versions:
        why = "The URL has no version, and most upstreams want one"
    else:
        why = "The URL has its version twice"
    return [f"{why}; did you mean {right}?"]


def _versions(url: str) -> list[str]:
    return [part for part in urlsplit(url).path.split("/") if _VERSION.match(part)]
