"""A real HTTP server on a thread, for tests of what calls out; it answers what it was told and keeps what it saw."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass
class Upstream:
    """What the server answers next, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"object": "list", "data": [{"id": "m1"}, {"id": "m2", "context_window": 8000}]}'
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    let_go: Event = field(default_factory=Event)
    seen: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, status: int, **error: str) -> None:
        """Answer errors from now on."""
        self.status, self.body = status, json.dumps({"error": error}).encode()


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    """A server on a free port of this machine."""
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            upstream.seen.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
            if upstream.hangs:
                upstream.let_go.wait(20)
                return
            self.send_response(upstream.status)
            for name, value in ({"content-length": str(len(upstream.body))} | upstream.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(upstream.body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield upstream
    finally:
        upstream.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
