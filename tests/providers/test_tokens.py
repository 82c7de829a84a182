import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.tokens import estimate_prompt_tokens, estimate_tokens

ENGLISH = (
    "A cooldown leaves a backend alone until a given time. While it lasts, the requests of all callers go to the next "
    "backend that serves the same model, and when it ends one request tries whether the backend answers again. "
)
CHINESE = "冷却期间，所有调用者的请求都会转到提供相同模型的下一个后端。冷却结束后，会有一个请求试探后端是否恢复。"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello", 1),
        ("2 + 2 = 4", 5),
        ("antidisestablishmentarianism", 5),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("1234567", 3),
        ("def total(values):\n    return sum(values)\n", 12),
    ],
)
def test_known_texts(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_english_is_about_four_tokens_for_three_words() -> None:
    assert estimate_tokens(ENGLISH) == pytest.approx(len(ENGLISH.split()) * 4 / 3, rel=0.15)


def test_chinese_is_about_one_token_for_each_character() -> None:
    assert estimate_tokens(CHINESE) == pytest.approx(len(CHINESE), rel=0.18)


@given(st.text(), st.text())
def test_a_text_has_about_the_tokens_of_its_parts(one: str, other: str) -> None:
    parts = estimate_tokens(one) + estimate_tokens(other)

    assert parts - 4 <= estimate_tokens(f"{one}\n{other}") <= parts + 3


@given(st.text())
def test_an_estimate_is_never_more_than_the_bytes(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_a_very_long_text_is_estimated_from_a_part() -> None:
    long = ENGLISH * 5_000

    assert estimate_tokens(long) == pytest.approx(5_000 * estimate_tokens(ENGLISH), rel=0.01)


@pytest.mark.parametrize("text", [ENGLISH * 5, CHINESE * 10, (ENGLISH + CHINESE) * 3])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_prompt_is_near_the_estimate_of_its_text(text: str, ascii_only: bool) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}, ensure_ascii=ascii_only).encode()

    assert estimate_prompt_tokens(body) == pytest.approx(estimate_tokens(text), rel=0.25)


def test_an_inline_image_is_not_counted_as_text() -> None:
    url = "data:image/png;base64," + "A" * 4_000_000
    part = {"type": "image_url", "image_url": {"url": url}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [part, part]}]}).encode()

    assert 1_600 <= estimate_prompt_tokens(body) <= 1_700


def test_a_huge_prompt_is_estimated_from_a_part() -> None:
    body = json.dumps({"input": ENGLISH}).encode()

    assert estimate_prompt_tokens(body * 2_000) == pytest.approx(2_000 * estimate_prompt_tokens(body), rel=0.02)


@given(st.binary())
def test_any_bytes_have_an_estimate(body: bytes) -> None:
    assert 0 <= estimate_prompt_tokens(body) <= len(body) + 800 * body.count(b";base64,")
