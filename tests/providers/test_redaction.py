import pytest

from providers.rules.redaction import SUMMARY_CHARACTERS, redacted, response_summary


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdef1234567890",
        "sk-proj-abc_def-123",
        "nvapi-abcdefgh12",
        "gsk_abcdefgh",
        "Bearer abc.def",
        "bearer xyz",
        "AIzaSyA1234567890",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "sk-ab****wxyz",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(secret: str) -> None:
    assert redacted(f"key {secret} is wrong") == "key [secret] is wrong"


def test_the_key_itself_is_taken_out_whatever_it_looks_like() -> None:
    assert redacted("no plain-words here", ("plain-words", "")) == "no [secret] here"


def test_ordinary_words_stay() -> None:
    text = "Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3"
    assert redacted(text) == text


def test_a_secret_at_the_cut_is_not_shown_in_half() -> None:
    summary = response_summary("x" * (SUMMARY_CHARACTERS - 8) + " sk-abcdef1234567890")
    assert len(summary) <= SUMMARY_CHARACTERS
    assert "sk-" not in summary
