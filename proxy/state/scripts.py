"""The scripts by which processes change the shared state, each in one step. Their sources lie in `lua/`.

A script gets its keys and one packed map of arguments, and answers with one packed array, so that floats stay what they
are. The numbers of the rules are put in front of each source: they are said once, where the rules are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

from providers.rules import cooldown
from providers.rules.table import ErrorKind
from proxy.rules import bucket, window
from proxy.state.backend import QUOTA_TRIAL_SECONDS

KEEP_SECONDS = 2 * 24 * 3600
"""What nobody has used for so long is forgotten: by then every bucket is full and every cooldown over."""

CREDIT_SECONDS = 15.0
"""Within this time all processes are back that Redis was away from."""

SAME_END_SECONDS = 1.0
"""Ends of a cooldown that are no further apart are the same one, as two processes know it."""

_FOLDER = Path(__file__).resolve().parent / "lua"

_CONSTANTS = {
    "EPSILON": bucket.EPSILON,
    "KEEP_SECONDS": KEEP_SECONDS,
    "CREDIT_SECONDS": CREDIT_SECONDS,
    "SAME_END_SECONDS": SAME_END_SECONDS,
    "QUOTA_TRIAL_SECONDS": QUOTA_TRIAL_SECONDS,
    "GIVEN_CAP_SECONDS": cooldown.GIVEN_CAP_SECONDS,
    "FAILURE_BASE_SECONDS": cooldown.FAILURE_BASE_SECONDS,
    "FAILURE_CAP_SECONDS": cooldown.FAILURE_CAP_SECONDS,
    "FAILURES_IN_A_ROW": cooldown.FAILURES_IN_A_ROW,
    "WINDOW_SECONDS": cooldown.WINDOW_SECONDS,
    "WINDOW_STEPS": window.BUCKETS,
    "WINDOW_LEAST_REQUESTS": cooldown.WINDOW_LEAST_REQUESTS,
    "WINDOW_LEAST_SUCCESS_RATE": cooldown.WINDOW_LEAST_SUCCESS_RATE,
}


@dataclass(frozen=True, slots=True)
class Script:
    """One script, and the digest by which Redis knows it."""

    source: bytes = field(repr=False)
    digest: bytes


def _script(*names: str) -> Script:
    constants = "".join(f"local {name} = {value!r}\n" for name, value in _CONSTANTS.items())
    constants += f"local QUOTA = '{ErrorKind.QUOTA}'\n"
    source = (constants + "".join((_FOLDER / f"{name}.lua").read_text() for name in ("common", *names))).encode()
    # Redis names scripts by this digest; it protects nothing.
    return Script(source, sha1(source, usedforsecurity=False).hexdigest().encode())


TAKE = _script("backend", "take")
EMERGENCY = _script("backend", "emergency")
SETTLE = _script("backend", "settle")
RESTORE = _script("backend", "restore")
ADMIT = _script("key", "admit")
SPEND = _script("key", "spend")
RENEW = _script("renew")
DEPTH = _script("depth")

EVERY: Sequence[Script] = (TAKE, EMERGENCY, SETTLE, RESTORE, ADMIT, SPEND, RENEW, DEPTH)
