import pytest

from agenthub.hub.rules.tokens import token_agent_id, token_digest, token_hint, token_text

RANDOM = "A" * 42 + "_"


def test_a_token_says_of_whom_it_is() -> None:
    token = token_text(7, RANDOM)
    assert token_agent_id(token) == 7
    assert token_hint(token) == "AAA_"
    assert len(token_digest(token)) == 32
    assert token_digest(token) != token_digest(token_text(8, RANDOM))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aht_7",
        f"aht_0_{RANDOM}",
        f"aht_07_{RANDOM}",
        f"aht_-7_{RANDOM}",
        f"aht_٧_{RANDOM}",
        f"aht_{'9' * 20}_{RANDOM}",
        f"aht_7_{RANDOM}\n",
        f"aht_7_{RANDOM}A",
        f"ah-7_{RANDOM}",
        "aht_7_" + "\0" * 43,
    ],
)
def test_other_texts_are_no_tokens(text: str) -> None:
    assert token_agent_id(text) is None
