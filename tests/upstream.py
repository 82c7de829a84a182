"""A real HTTP server on a thread, for tests of what calls out; it answers what it was told and keeps what it saw."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    by_path: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # status and body of single paths
    hangs: bool = False
    let_go: Event = field(default_factory=Event)
    seen: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, status: int, **error: str) -> None:
        """Answer errors from now on."""
        self.status, self.body = status, json.dumps({"error": error}).encode()


class Server(ThreadingHTTPServer):
    """A server that may speak TLS, with a thread for each connection."""

    daemon_threads = True
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the thread of its connection; clients that fail it are what is tested.
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)


@contextmanager
def running_upstream(context: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """A server on a free port of this machine; with a context it speaks TLS."""
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
            status, body = upstream.by_path.get(self.path, (upstream.status, upstream.body))
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | upstream.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.context = context
    upstream.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield upstream
    finally:
        upstream.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
