"""The document of a checkpoint: `{"version": "1.0", "serialized_at": …, "state": {…}}`, its bytes and its hash."""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agenthub.core.errors import CheckpointCorrupt, StateNotStorable, UnsupportedVersion

VERSION = "1.0"
COMPRESS_ABOVE_BYTES = 8 * 1024
ZLIB = "zlib"
_COMPRESSION_LEVEL = 3
DEEPEST = 200
LONGEST_NUMBER_BITS = 8192


@dataclass(frozen=True, slots=True)
class Envelope:
    """A document that was read."""

    version: str
    serialized_at: str  # ISO 8601; "" where a legacy document does not say
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """A document as it is stored."""

    body: bytes
    encoding: str  # "" or "zlib"
    size: int  # bytes before compression
    sha256: str  # of the bytes before compression


def envelope_bytes(state: Mapping[str, Any], *, at: datetime) -> bytes:
    """The document of a state. Raises StateNotStorable naming the place of a value that JSON can't hold."""
    check_state(state)
    return dumped({"version": VERSION, "serialized_at": at.isoformat(), "state": state})


def dumped(document: Mapping[str, Any]) -> bytes:
    """JSON in the one way of writing that hashes are made of."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def check_state(state: object) -> None:
    """Raise StateNotStorable if a state is no JSON object, naming the place of what is wrong."""
    if not isinstance(state, Mapping):
        raise StateNotStorable(f"A state is a JSON object, not {_kind(state)}.", param="state")
    _check(state, "state", DEEPEST)


def _check(value: object, path: str, depth: int) -> None:
    if depth == 0:
        raise StateNotStorable(f"{path} is nested more than {DEEPEST} deep.", param="state")
    match value:
        case None | bool():
            return
        case str():
            _check_text(value, path)
        case int() | float():
            _check_number(value, path)
        case Mapping():
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise StateNotStorable(f"{path} has the key {name!r}; keys are texts in JSON.", param="state")
                _check_text(name, path)
                _check(inner, f"{path}.{name}", depth - 1)
        case list() | tuple():
            for place, inner in enumerate(value):
                _check(inner, f"{path}[{place}]", depth - 1)
        case _:
            raise StateNotStorable(f"{path} holds {_kind(value)}, which JSON can't hold.", param="state")


def _check_number(value: float, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise StateNotStorable(f"{path} is {value}, which JSON does not have.", param="state")
    if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER_BITS:
        raise StateNotStorable(f"{path} is a number of more than 2,000 digits.", param="state")


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise StateNotStorable(f"{path} holds half a character, which UTF-8 can't hold.", param="state") from None


def _kind(value: object) -> str:
    return type(value).__name__


def packed(document: bytes) -> Packed:
    """A document as it is stored: compressed where it is large and that makes it smaller."""
    sha256 = hashlib.sha256(document).hexdigest()
    if len(document) > COMPRESS_ABOVE_BYTES:
        small = zlib.compress(document, _COMPRESSION_LEVEL)
        if len(small) < len(document):
            return Packed(small, ZLIB, len(document), sha256)
    return Packed(document, "", len(document), sha256)


def unpacked(stored: Packed) -> bytes:
    """The document that was stored. Raises CheckpointCorrupt."""
    document = stored.body
    if stored.encoding == ZLIB:
        try:
            opener = zlib.decompressobj()
            # One byte more than there should be: what is damaged may not fill the memory.
            document = opener.decompress(stored.body, stored.size + 1)
        except zlib.error:
            raise CheckpointCorrupt("The checkpoint can't be decompressed.") from None
    elif stored.encoding:
        raise CheckpointCorrupt(f"The checkpoint is in an encoding that nobody knows: {stored.encoding[:20]}.")
    if hashlib.sha256(document).hexdigest() != stored.sha256:
        raise CheckpointCorrupt("The hash of the checkpoint is not the one that was saved.")
    return document


def envelope_of(document: bytes, *, any_version: bool = False) -> Envelope:
    """What a document says. Raises CheckpointCorrupt, UnsupportedVersion."""
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError):
        raise CheckpointCorrupt("The checkpoint is no JSON document.") from None
    return envelope_in(parsed, any_version=any_version)


def envelope_in(parsed: object, *, any_version: bool = False) -> Envelope:
    """What a parsed document says: without `state` it is the state itself, without `version` it is 1.0.

    Raises CheckpointCorrupt, and UnsupportedVersion for another major version, unless asked to try any.
    """
    if not isinstance(parsed, dict):
        raise CheckpointCorrupt("The checkpoint is no JSON object.")
    version = parsed.get("version", VERSION) if "state" in parsed else VERSION
    state = parsed.get("state", parsed)
    if not any_version and not _readable(version):
        raise UnsupportedVersion(
            f"The checkpoint has version {str(version)[:20]}, and this hub reads 1.x. Ask to try it all the same."
        )
    if not isinstance(state, dict):
        raise CheckpointCorrupt("The state in the checkpoint is no JSON object.")
    at = parsed.get("serialized_at", "") if "state" in parsed else ""
    return Envelope(version=str(version)[:16], serialized_at=str(at)[:64], state=state)


def _readable(version: object) -> bool:
    return str(version).partition(".")[0] == VERSION.partition(".")[0]
