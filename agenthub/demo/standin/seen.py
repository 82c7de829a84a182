"""What the stand-in remembers of the requests that it was sent."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agenthub.demo.standin.request import Request

MOST_BODY_KEPT = 1 << 20


@dataclass(slots=True, eq=False)
class Seen:
    """One request, and what became of it."""

    backend: str
    method: str
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes = field(repr=False)  # its first 1 MiB
    query: str = ""
    deployment: str = ""  # of a request in Azure's way
    body_bytes: int = 0  # the size of the whole body
    body_sha256: str = ""  # of the whole body
    fields: dict[str, str] = field(default_factory=dict)  # of a multipart request
    file_sha256: str = ""  # of the first file of a multipart request
    chunks_sent: int = 0  # counted just before they go out
    stalled: bool = False  # the caller read more slowly than the answer was written
    finished: bool = False  # answered as scripted, to the end
    disconnected: bool = False  # the caller left before that

    @property
    def json(self) -> dict[str, Any]:
        """The body, read as JSON. Raises msgspec.MsgspecError, also for a body of which only the first part is kept."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


def seen_of(request: Request) -> Seen:
    """What is kept of a request: never more than the first MiB of its body, since uploads may be huge."""
    files = request.form.files
    return Seen(
        request.route.backend,
        request.method,
        request.path,
        request.headers,
        request.body[:MOST_BODY_KEPT],
        query=request.query,
        deployment=request.route.deployment,
        body_bytes=len(request.body),
        body_sha256=hashlib.sha256(request.body).hexdigest(),
        fields=request.form.fields,
        file_sha256=hashlib.sha256(files[0].data).hexdigest() if files else "",
    )
