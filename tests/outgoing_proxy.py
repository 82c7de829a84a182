"""A tiny outgoing proxy on a thread, for tests: tunnels by CONNECT, hands plain requests on, or refuses."""

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.upstream import Server


@dataclass
class OutgoingProxy:
    """How the proxy behaves, and what it was asked."""

    url: str = ""
    password: str = ""  # of the user "hub"; "" where nobody is asked
    refuses: int = 0  # the status that it refuses with; 0: it does not
    resolves: dict[str, str] = field(default_factory=dict)  # names that it knows, beside those that the system knows
    seen: list[str] = field(default_factory=list)

    def with_user(self, password: str) -> str:
        """The URL with a user and password."""
        scheme, _, place = self.url.partition("://")
        return f"{scheme}://hub:{password}@{place}"

    def refusal(self, authorization: str | None) -> int:
        """The status that a request is refused with; 0 where it is not."""
        wanted = "Basic " + base64.b64encode(f"hub:{self.password}".encode()).decode()
        return 407 if self.password and authorization != wanted else self.refuses


@contextmanager
def running_proxy(context: ssl.SSLContext | None = None) -> Iterator[OutgoingProxy]:
    """A proxy on a free port of this machine; with a context it speaks TLS."""
    proxy = OutgoingProxy()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            proxy.seen.append(f"CONNECT {self.path}")
            if self._refused():
                return
            host, _, port = self.path.rpartition(":")
            try:
                there = socket.create_connection((proxy.resolves.get(host, host), int(port)), timeout=20)
            except OSError:
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            back = Thread(target=_pumped, args=(there, self.connection))
            back.start()
            _pumped(self.connection, there)
            back.join()
            there.close()
            self.close_connection = True

        def do_GET(self) -> None:
            proxy.seen.append(f"{self.command} {self.path}")
            if self._refused():
                return
            url = urlsplit(self.path)
            place = url._replace(netloc=f"{proxy.resolves.get(url.hostname or '', url.hostname)}:{url.port}")
            with urlopen(Request(place.geturl())) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refused(self) -> bool:
            status = proxy.refusal(self.headers.get("proxy-authorization"))
            if status:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
            return bool(status)

        def log_message(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.context = context
    proxy.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _pumped(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
