import json

from hypothesis import given
from hypothesis import strategies as st

from heartbeat.rules.alerting import details_kept, fingerprint, text_kept

TEXTS = st.text(max_size=40)


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS))
def test_alerts_have_one_fingerprint_if_and_only_if_they_tell_of_the_same(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_texts_do_not_run_over_into_their_neighbours() -> None:
    assert fingerprint("a", "b:c", "") != fingerprint("a:b", "c", "")
    assert fingerprint("ab", "", "") != fingerprint("a", "b", "")
    assert len(fingerprint("\ud800", "x" * 10_000, "")) == 32


def test_a_text_is_cut_and_storable() -> None:
    assert text_kept("a\0b" + "x" * 100, 4) == "abxx"
    assert text_kept("\ud800", 4) == "?"


def test_details_are_what_both_databases_take() -> None:
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"deeper": deep}
    hostile = {
        "nul\0": "a\0b",
        "nan": float("nan"),
        "endless": float("inf"),
        "deep": deep,
        "kind": object,
        "many": [1] * 999,
    }
    kept = details_kept({**hostile, "count": 3, "share": 0.5, "none": None, "yes": True, "list": ("a", 1)})
    text = json.dumps(kept, allow_nan=False)
    assert "\\u0000" not in text
    assert len(text) < 5_000
    assert (kept["count"], kept["share"], kept["none"], kept["yes"], kept["list"]) == (3, 0.5, None, True, ["a", 1])
    assert len(details_kept({str(number): 1 for number in range(1_000)})) == 100
