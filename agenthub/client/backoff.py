"""When to come again after a connection has ended. Pure."""

FIRST_SECONDS, CAP_SECONDS, STEADY_SECONDS = 0.5, 30.0, 60.0

STOP_FROM = 4500
"""Close codes from here on mean: stay away until something has changed."""

_ADVICE = {
    4500: "The token does not work: give the agent the token that the hub has shown for it.",
    4501: "The token was rotated or revoked: give the agent its new one.",
    4502: "The agent is switched off: ask those who run the hub.",
    4503: "Another process of this agent has connected: run it once.",
    4504: "The hub does not speak this version: bring the client library and the hub to versions that fit.",
    4505: "The hub could not read what this client sends: bring the client library and the hub to versions that fit.",
    4506: "Too many connections are open: close some.",
}


def is_final(code: int | None) -> bool:
    """Whether a close code means that coming again is of no use."""
    return code is not None and STOP_FROM <= code < 4600


def advice(code: int) -> str:
    """What to do about a final close code."""
    return _ADVICE.get(code, f"The hub has closed the connection for good (code {code}).")


def delay_seconds(tries: int, *, chance: float) -> float:
    """How long to wait before the next try, after so many that have failed: full jitter, `chance` from 0 to 1."""
    return chance * float(min(CAP_SECONDS, FIRST_SECONDS * 2 ** min(tries, 16)))
