"""What can be said of a backend's base URL before anybody calls it."""

import re
from urllib.parse import urlsplit

from agenthub.core.addresses import refusal

_VERSION = re.compile(r"^v\d+[a-z0-9]*$")
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
    return _address_refusal(host, allow_private)


def _address_refusal(host: str, allow_private: bool) -> str | None:
    # Names are judged when they are dialled; here only what is an address by itself.
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    if not re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", host):
        return None
    return refusal(host, allow_private=allow_private)


def base_url_put_right(url: str) -> str:
    """The base URL that `url` was most likely meant to be: without an endpoint, and with its version once."""
    bare = url.rstrip("/")
    endpoint = next((end for end in _ENDPOINTS if bare.endswith(end)), "")
    bare = bare.removesuffix(endpoint).rstrip("/")
    versions = _versions(bare)
    if not versions:
        return f"{bare}/v1"
    doubled = f"/{versions[0]}/{versions[0]}"
    return bare.replace(doubled, f"/{versions[0]}") if len(versions) != len(set(versions)) else bare


def probe_path_put_right(path: str) -> str:
    """A path for probes without the version, which the base URL has; `none` turns probing off."""
    parts = [part for part in path.strip().split("/") if part]
    while parts and _VERSION.match(parts[0]):
        parts.pop(0)
    return "none" if parts in ([], ["none"]) else "/" + "/".join(parts)


def base_url_warnings(url: str) -> list[str]:
    """What looks wrong with a base URL that may be saved all the same, with a proposal."""
    bare = url.rstrip("/")
    right = base_url_put_right(url)
    if right == bare:
        return []
    versions = _versions(bare)
    if any(bare.endswith(end) for end in _ENDPOINTS):
        why = "The URL ends with the path of an endpoint, which the hub adds by itself"
    elif not versions:
        why = "The URL has no version, and most upstreams want one"
    else:
        why = "The URL has its version twice"
    return [f"{why}; did you mean {right}?"]


def _versions(url: str) -> list[str]:
    return [part for part in urlsplit(url).path.split("/") if _VERSION.match(part)]
