"""nginx as a plain proxy: the practical floor."""

from bench.gateways.base import Gateway
from bench.load import Target
from bench.nginxes import start_plain_proxy


class Nginx(Gateway):
    """Passes bytes on and does nothing else."""

    name = "nginx"
    note = "plain proxy, proxy_buffering off: no keys, no routing, no accounting"

    def start(self) -> None:
        """Start it."""
        self._process, self._json_port, self._stream_port = start_plain_proxy(
            self.upstreams.json_port, self.upstreams.stream_port
        )

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    @property
    def pid(self) -> int:
        """The master, with its worker."""
        return self._process.pid

    @property
    def json_target(self) -> Target:
        """The server in front of the JSON upstream."""
        return Target(self._json_port, "none")

    @property
    def stream_target(self) -> Target:
        """The server in front of the stream upstream."""
        return Target(self._stream_port, "none")
