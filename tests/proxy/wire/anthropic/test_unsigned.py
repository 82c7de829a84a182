"""Thinking without a signature does not reach Anthropic."""

import json

from proxy.wire.anthropic.unsigned import without_unsigned_thinking

TEXT = {"type": "text", "text": 'he said "signature":""'}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "abc"}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}


def cleaned(*messages: object) -> object:
    return json.loads(without_unsigned_thinking(json.dumps(messages).encode()))


def test_only_what_has_no_signature_goes() -> None:
    asked = {"role": "user", "content": "hello"}
    assert cleaned(asked, {"role": "assistant", "content": [UNSIGNED, SIGNED, TEXT]}, 7) == [
        asked,
        {"role": "assistant", "content": [SIGNED, TEXT]},
        7,
    ]


def test_what_holds_none_stays_byte_for_byte() -> None:
    raw = b'[ {"role":"user",  "content":"x"} ]'
    assert without_unsigned_thinking(raw) is raw
    assert without_unsigned_thinking(b'{"signature":"" broken') == b'{"signature":"" broken'
    assert without_unsigned_thinking(b'{"signature":""}') == b'{"signature":""}'
