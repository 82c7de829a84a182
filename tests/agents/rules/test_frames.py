"""Whatever a text holds: a frame of the right form, or a refusal in the protocol's words."""

import json
import os

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agenthub.hub.rules.frames import CLIENT_TYPES, FRAME_BYTES, Frame, FrameRefused, frame_read

EXAMPLES = int(os.environ.get("TORTURE_FRAMES", "300"))

CODES = {"bad_frame", "too_big", "unknown_type", "forbidden_type"}

values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = some.sampled_from(
    [
        *("type", "v", "id", "local_id", "seq", "target_id", "conversation_id", "stream_id", "idx", "reply_to"),
        *("task_id", "payload", "expires_at", "meta", "sender_id", "status", "state", "n", "topics", "surprise"),
    ]
)
frames = some.dictionaries(fields, values).flatmap(
    lambda body: some.sampled_from([*sorted(CLIENT_TYPES), "WELCOME", "X_NEW", "NO_SUCH"]).map(
        lambda kind: body | {"type": kind}
    )
)


def read(text: str) -> Frame | str:
    """The frame, or the code of its refusal."""
    try:
        return frame_read(text)
    except FrameRefused as refused:
        return refused.code if refused.code in CODES and refused.message else "no word of the protocol"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.text(max_size=300) | some.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read(text)
    assert isinstance(found, Frame) or found in CODES


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames)
def test_any_object_is_read_or_refused_and_never_names_its_sender(body: dict[str, object]) -> None:
    found = read(json.dumps(body))
    assert isinstance(found, Frame) or found in CODES
    if isinstance(found, Frame):
        assert found.type == body["type"]
        assert found.target_id is None or found.target_id >= 0
        assert not {"sender_id", "id", "seq"} & found.meta.keys() or isinstance(body.get("meta"), dict)
        orjson.dumps(found.payload)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_bound_of_a_frame_counts_bytes(extra: int) -> None:
    empty = json.dumps({"type": "CHAT", "payload": ""}, ensure_ascii=False)
    room = FRAME_BYTES - len(empty)
    text = json.dumps({"type": "CHAT", "payload": "é" * (room // 2) + "x" * (room % 2 + extra)}, ensure_ascii=False)
    assert (read(text) == "too_big") is bool(extra)


@pytest.mark.parametrize(("depth", "refused"), [(15, False), (16, True)])
def test_the_bound_of_depth(depth: int, *, refused: bool) -> None:
    payload: object = "x"
    for _ in range(depth):
        payload = [payload]
    assert (read(json.dumps({"type": "CHAT", "payload": payload})) == "bad_frame") is refused


def test_ids_may_be_texts_of_digits_and_times_need_a_zone() -> None:
    assert frame_read('{"type":"CHAT","target_id":"12"}').target_id == 12
    assert read('{"type":"CHAT","expires_at":"2026-01-01T00:00:00"}') == "bad_frame"
    found = frame_read('{"type":"CHAT","expires_at":"2026-01-01T00:00:00Z"}')
    assert found.expires_at is not None
