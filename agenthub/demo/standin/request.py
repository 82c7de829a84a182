"""A request to the stand-in, taken apart: which backend is meant, which endpoint, and in whose dialect. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from agenthub.demo.standin import multipart
from agenthub.demo.standin.dialects import ANTHROPIC, AZURE, AZURE_V1, OPENAI, Dialect
from agenthub.demo.standin.multipart import NO_FORM, Form

_DEPLOYMENTS = "/openai/deployments/"


class Route(NamedTuple):
    """Where a path leads."""

    backend: str
    endpoint: str  # below /v1 or below the deployment; whether there is such a one is not looked at
    dialect: Dialect
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    query: str
    headers: dict[str, str] = field(repr=False)  # lower-case names
    body: bytes = field(repr=False)
    route: Route
    form: Form = NO_FORM
    malformed: str = ""  # what is wrong with the form


def read_request(method: str, target: str, headers: dict[str, str], body: bytes) -> Request:
    """Take a request apart. A form that can't be read is told in `malformed`."""
    path, _, query = target.partition("?")
    form, malformed = NO_FORM, ""
    content_type = headers.get("content-type", "")
    if multipart.is_multipart(content_type):
        try:
            form = multipart.parse(content_type, body)
        except ValueError as problem:
            malformed = str(problem)
    return Request(method, path, query, headers, body, read_path(path), form, malformed)


def read_path(path: str) -> Route:
    """The backend is named by what stands before /v1, or before /openai where that is Azure's."""
    before, found, rest = path.partition(_DEPLOYMENTS)
    if found:
        deployment, _, endpoint = rest.partition("/")
        return Route(before.strip("/"), endpoint.strip("/"), AZURE, unquote(deployment))
    before, _, endpoint = path.strip("/").rpartition("v1/")
    backend = before.strip("/")
    if backend.endswith("/openai"):
        return Route(backend.removesuffix("/openai"), endpoint, AZURE_V1)
    is_messages = endpoint == "messages" or endpoint.startswith("messages/")
    return Route(backend, endpoint, ANTHROPIC if is_messages else OPENAI)
