"""Why the hub ends a connection: 40xx, come again and resume; 45xx, stay away until something has changed."""

from enum import IntEnum


class Close(IntEnum):
    """The close codes of the protocol beside those of the standard."""

    SERVER_ERROR = 4000
    HEARTBEAT_LOST = 4001
    SLOW_CONSUMER = 4002
    DRAINING = 4003
    RATE_LIMIT = 4004
    SEQUENCE_MISMATCH = 4005
    NO_HELLO = 4006
    BAD_TOKEN = 4500
    TOKEN_ENDED = 4501
    FORBIDDEN = 4502
    REPLACED = 4503
    VERSION = 4504
    BAD_FRAMES = 4505
    TOO_MANY_CONNECTIONS = 4506


REASONS = {
    Close.SERVER_ERROR: "the hub could not go on; come again",
    Close.HEARTBEAT_LOST: "no heartbeat came",
    Close.SLOW_CONSUMER: "nothing was acknowledged for too long",
    Close.DRAINING: "this process stops; come again",
    Close.RATE_LIMIT: "too many frames, in spite of warnings",
    Close.SEQUENCE_MISMATCH: "acknowledged what was never sent; resume",
    Close.NO_HELLO: "no HELLO came in time",
    Close.BAD_TOKEN: "the token does not work",
    Close.TOKEN_ENDED: "the token was revoked, rotated or has run out",
    Close.FORBIDDEN: "switched off, or not allowed here",
    Close.REPLACED: "a newer connection took this one's place",
    Close.VERSION: "this version of the protocol is not spoken here",
    Close.BAD_FRAMES: "too many frames that could not be read",
    Close.TOO_MANY_CONNECTIONS: "too many connections",
}
"""What the other side reads beside the code; at most 123 bytes each."""
