"""The journal's bytes: a header, then frames of marker, length, checksum and one journal entry in MessagePack.

A frame is written by one call, so a process that dies leaves at most one torn frame, and that at the very end. Anything
unreadable that is followed by a whole frame is therefore damage of the disk and not of a crash.
"""

import struct
from dataclasses import dataclass
from zlib import crc32

import msgspec

from proxy.rules.record import JournalEntry, RequestBegun, RequestEnded

HEADER = b"AgentHub journal 1\n"

# 0xFE never stands in UTF-8, so no text that a caller sends can look like the start of a frame.
MARKER = b"\xfe\xf7"
MAX_PAYLOAD_BYTES = 1024 * 1024

_HEAD = struct.Struct("<2sII")
_LONG_PAYLOAD_BYTES = 16 * 1024
_LONGEST_TEXT = 256

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(JournalEntry).decode
_pack = _HEAD.pack


@dataclass(frozen=True, slots=True)
class Scan:
    """What a stretch of journal bytes holds."""

    entries: list[JournalEntry]
    offsets: list[int]  # where each entry ends
    end: int  # where reading goes on: behind the last whole frame
    damaged_bytes: int  # unreadable bytes before `end`


def frame(entry: JournalEntry) -> bytes:
    """The bytes of one entry. Texts of a caller are cut where they would make it long."""
    payload = _encode(entry)
    if len(payload) > _LONG_PAYLOAD_BYTES:
        payload = _encode(_shortened(entry))
    return _pack(MARKER, len(payload), crc32(payload)) + payload


def _shortened(entry: JournalEntry) -> JournalEntry:
    if isinstance(entry, RequestEnded):
        entry = msgspec.structs.replace(entry, native_id=entry.native_id[:_LONGEST_TEXT], trail=entry.trail[:64])
    if isinstance(entry, RequestBegun | RequestEnded):
        return msgspec.structs.replace(
            entry, model=entry.model[:_LONGEST_TEXT], work_item_id=entry.work_item_id[:_LONGEST_TEXT]
        )
    return entry


def scan(data: bytes, *, limit: int = 1_000_000) -> Scan:
    """Read up to `limit` entries of `data`, which starts at a frame; a torn frame at the end is left unread."""
    entries: list[JournalEntry] = []
    offsets: list[int] = []
    at = damaged = 0
    while len(entries) < limit:
        found = _frame_at(data, at)
        if found is None:
            start = _next_frame(data, at + 1)
            if start is None:
                break
            damaged += start - at
            at = start
            continue
        entry, at = found
        entries.append(entry)
        offsets.append(at)
    return Scan(entries, offsets, at, damaged)


def _frame_at(data: bytes, at: int) -> tuple[JournalEntry, int] | None:
    """The entry whose frame starts at `at` and the offset behind it; None if there is no whole, readable frame."""
    start = at + _HEAD.size
    if start > len(data):
        return None
    marker, length, checksum = _HEAD.unpack_from(data, at)
    end = start + length
    if marker != MARKER or length > MAX_PAYLOAD_BYTES or end > len(data):
        return None
    payload = data[start:end]
    if crc32(payload) != checksum:
        return None
    try:
        return _decode(payload), end
    except msgspec.DecodeError:  # whole, but of a later version
        return None


def _next_frame(data: bytes, at: int) -> int | None:
    while (at := data.find(MARKER, at)) >= 0:
        if _frame_at(data, at) is not None:
            return at
        at += 1
    return None
