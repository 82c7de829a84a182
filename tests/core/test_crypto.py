import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.crypto import KeyRing, MalformedKey, Unreadable, masked

OLD, NEW = "0a" * 32, "1B" * 32


@given(st.text())
def test_what_was_sealed_opens_again(plain: str) -> None:
    ring = KeyRing.from_text(NEW)
    assert ring.open(ring.seal(plain, bound_to="bkd_a"), bound_to="bkd_a") == plain


def test_the_same_value_is_sealed_differently_each_time() -> None:
    ring = KeyRing.from_text(NEW)
    assert ring.seal("sk-1", bound_to="a") != ring.seal("sk-1", bound_to="a")


def test_a_value_that_was_copied_to_another_row_does_not_open() -> None:
    ring = KeyRing.from_text(NEW)
    with pytest.raises(Unreadable, match="damaged or moved"):
        ring.open(ring.seal("sk-1", bound_to="bkd_a"), bound_to="bkd_b")


def test_the_first_key_seals_and_all_open() -> None:
    old, ring = KeyRing.from_text(OLD), KeyRing.from_text(f"{NEW}, {OLD}")
    sealed = old.seal("sk-1", bound_to="a")
    assert ring.open(sealed, bound_to="a") == "sk-1"
    assert not ring.is_current(sealed)
    assert ring.is_current(ring.seal("sk-1", bound_to="a"))


def test_a_value_names_the_key_that_made_it() -> None:
    sealed = KeyRing.from_text(OLD).seal("sk-1", bound_to="a")
    with pytest.raises(Unreadable, match=KeyRing.from_text(OLD).first):
        KeyRing.from_text(NEW).open(sealed, bound_to="a")


@pytest.mark.parametrize("sealed", ["", "v1", "v1:", "v0:aa:bb", "sk-plain", f"v1:{KeyRing.from_text(NEW).first}:!!"])
def test_what_is_no_sealed_value_is_unreadable(sealed: str) -> None:
    with pytest.raises(Unreadable):
        KeyRing.from_text(NEW).open(sealed, bound_to="a")


@pytest.mark.parametrize("text", ["", "abc", OLD[:-1], OLD + "0", f"{OLD},", f"{OLD},xyz", "g" * 64])
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedKey, match="64 hex characters"):
        KeyRing.from_text(text)


def test_neither_the_ring_nor_its_refusals_show_a_key() -> None:
    assert OLD not in repr(KeyRing.from_text(OLD))
    with pytest.raises(MalformedKey) as refusal:
        KeyRing.from_text(f"{OLD},{NEW}00")
    assert OLD not in str(refusal.value)
    assert NEW not in str(refusal.value)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("", ""),
        ("ab", "a****"),
        ("abcdef", "ab****"),
        ("abcdefghij", "ab****"),
        ("sk-abcdwxyz", "sk-abc****wxyz"),
        ("sk-abc0123456789wxyz", "sk-abc****wxyz"),
    ],
)
def test_secrets_are_masked(secret: str, shown: str) -> None:
    assert masked(secret) == shown
