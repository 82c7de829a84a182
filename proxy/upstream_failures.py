"""What can go wrong between the hub and an upstream.

    UpstreamFailed
    ├── ConnectFailed
    │   ├── AddressRefused
    │   ├── OutgoingProxyFailed
    │   └── WayInvalid
    ├── ConnectionBroken
    ├── AnswerInvalid
    └── BodyFailed

Messages go to operators and into records: they name hosts and ports, never credentials.
"""


class UpstreamFailed(Exception):
    """The exchange broke: connecting, sending, or receiving."""


class ConnectFailed(UpstreamFailed):
    """No connection could be made."""


class AddressRefused(ConnectFailed):
    """The backend's name leads to an address that the hub does not talk to."""


class OutgoingProxyFailed(ConnectFailed):
    """The outgoing proxy on the backend's way can't be reached, or does not let the hub through."""


class WayInvalid(ConnectFailed):
    """The CA bundle or the client certificate of the backend's way can't be used."""


class ConnectionBroken(UpstreamFailed):
    """The connection ended before the answer did. `untouched` if no byte of an answer had come."""

    def __init__(self, message: str, *, untouched: bool, reused: bool) -> None:
        super().__init__(message)
        self.untouched = untouched
        self.reused = reused


class AnswerInvalid(UpstreamFailed):
    """What came is not HTTP."""


class BodyFailed(UpstreamFailed):
    """The hub could not read on in the body that it was sending: its own fault, not the upstream's."""
