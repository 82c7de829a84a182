"""What is left of a client key's rates, as OpenAI's answer headers say it."""

from msgspec import Struct


class RateLeft(Struct, frozen=True):
    """One rate of a key: its limit, what is left of it, and when all of it is there again."""

    limit: int
    left: int
    full_in_seconds: float


def rate_headers(requests: RateLeft | None, tokens: RateLeft | None) -> list[tuple[bytes, bytes]]:
    """The `x-ratelimit-*` headers of the rates that there are; `reset` is when all of a rate is there again."""
    headers: list[tuple[bytes, bytes]] = []
    for name, rate in ((b"requests", requests), (b"tokens", tokens)):
        if rate is not None:
            headers += [
                (b"x-ratelimit-limit-" + name, b"%d" % rate.limit),
                (b"x-ratelimit-remaining-" + name, b"%d" % rate.left),
                (b"x-ratelimit-reset-" + name, duration(rate.full_in_seconds)),
            ]
    return headers


def duration(seconds: float) -> bytes:
    """A length of time as OpenAI writes it: `0s`, `250ms`, `1.5s`, `2m30s`. Rounded up, never less than the truth."""
    milliseconds = -int(-seconds * 1000 // 1)
    if milliseconds < 1000:
        return b"%dms" % milliseconds if milliseconds else b"0s"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    rest = f"{milliseconds / 1000:g}s".encode()
    return b"%dm%b" % (minutes, rest) if minutes else rest
