"""What is measured: something on the gateway's core that passes requests on to the upstreams."""

from dataclasses import dataclass

from bench.load import Target


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports of the two upstreams."""

    json_port: int
    stream_port: int


class Gateway:
    """One row of the tables. Made from the upstreams, prepared, started, measured, stopped."""

    name = ""
    note = ""  # what is on and what is off

    def __init__(self, upstreams: Upstreams) -> None:
        self.upstreams = upstreams

    def prepare(self) -> None:
        """Do what is no part of a start: install, make a database. Raises CantRun."""

    def start(self) -> None:
        """Start it and wait until it answers. Raises CantRun."""
        raise NotImplementedError

    def stop(self) -> None:
        """End all its processes."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """The process whose CPU and memory count (with its children); None where there is none."""
        return None

    @property
    def beside_pid(self) -> int | None:
        """A process that works for it off the path of requests, whose CPU is told apart."""
        return None

    @property
    def json_target(self) -> Target:
        """Where JSON requests go."""
        raise NotImplementedError

    @property
    def stream_target(self) -> Target:
        """Where streams go."""
        raise NotImplementedError
