"""Usage as the Responses format counts it."""

import pytest

from proxy.wire.responses.usage import responses_usage, usage_in_chat, usage_in_responses
from proxy.wire.usage import Usage, openai_usage


@pytest.mark.parametrize(
    ("found", "usage"),
    [
        (
            {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 10},
                "total_tokens": 150,
            },
            Usage(input_tokens=50, cache_read_tokens=30, cache_write_tokens=20, output_tokens=40, reasoning_tokens=10),
        ),
        (
            {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 9},
                "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(cache_read_tokens=4, cache_write_tokens=1, reasoning_tokens=3),
        ),
        ({"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}, Usage(input_tokens=7, output_tokens=2)),
        ({"total_tokens": 9}, Usage(input_tokens=9)),
        ({"input_tokens": 1, "input_tokens_details": [], "output_tokens_details": None}, Usage(input_tokens=1)),
        ({"input_tokens": -1, "output_tokens": True}, None),
        ({}, None),
        ("x", None),
        (None, None),
    ],
)
def test_usage_in_disjoint_classes(found: object, usage: Usage | None) -> None:
    assert responses_usage(found) == usage


def test_usage_is_written_as_it_is_read() -> None:
    usage = Usage(1, 2, 3, 4, 5)
    assert responses_usage(usage_in_responses(usage)) == usage
    chat = openai_usage(usage_in_chat(usage))
    assert chat is not None
    assert (chat.prompt_tokens, chat.completion_tokens) == (6, 9)
    assert (chat.cache_read_tokens, chat.reasoning_tokens) == (2, 5)
