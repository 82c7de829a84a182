"""No gateway: the upstreams themselves."""

from bench.gateways.base import Gateway
from bench.load import Target


class Direct(Gateway):
    """What every other row's added times are compared with."""

    name = "direct"
    note = "no gateway"

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    @property
    def json_target(self) -> Target:
        """The upstream of JSON."""
        return Target(self.upstreams.json_port, "none")

    @property
    def stream_target(self) -> Target:
        """The upstream of streams."""
        return Target(self.upstreams.stream_port, "none")
