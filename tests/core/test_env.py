"""Typed readers of the environment."""

from pathlib import Path

import pytest

from agenthub.core.env import EnvError, Reader


def read(**environ: str) -> Reader:
    return Reader(environ)


def test_what_is_set_to_nothing_counts_as_not_set() -> None:
    assert read(A="  ").text("A") is None
    assert read(A="").integer("A", 7, at_least=0, at_most=9) == 7


def test_the_older_name_is_read_where_the_newer_is_not_set() -> None:
    assert read(OLD="1").port("NEW", 9, sidecar="OLD") == 1
    assert read(NEW="2", OLD="1").port("NEW", 9, sidecar="OLD") == 2


def test_an_error_names_the_variable_that_was_read() -> None:
    with pytest.raises(EnvError, match=r"^OLD must be a whole number between 0 and 65535, not 'x'\.$"):
        read(OLD="x").port("NEW", 9, sidecar="OLD")


@pytest.mark.parametrize("value", ["-1", "65536", "1.5", "1e3", "0x10", "٣", "9" * 30, "1 2"])
def test_a_port_is_a_whole_number_in_its_range(value: str) -> None:
    with pytest.raises(EnvError, match=r"^PORT must be"):
        read(PORT=value).port("PORT", 1)


@pytest.mark.parametrize(
    ("value", "expected"), [("TRUE", True), ("on", True), ("1", True), ("no", False), ("0", False)]
)
def test_switches(value: str, expected: bool) -> None:
    assert read(S=value).boolean("S", default=not expected) is expected


def test_a_switch_that_is_neither_is_refused() -> None:
    with pytest.raises(EnvError, match="S must be true or false, not 'maybe'"):
        read(S="maybe").boolean("S", default=True)


def test_a_choice_is_one_of_its_words() -> None:
    assert read(C="JSON").choice("C", "console", ("console", "json")) == "json"
    with pytest.raises(EnvError, match="C must be one of console, json, not 'xml'"):
        read(C="xml").choice("C", "console", ("console", "json"))


@pytest.mark.parametrize("value", ["mysql://a/b", "postgresql:", "nonsense", "postgresql://host:port/x"])
def test_an_address_that_can_not_be_used_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(EnvError) as refused:
        read(URL=value).url("URL", ("postgresql",))
    assert str(refused.value) == "URL must be an address that begins with postgresql:."


@pytest.mark.parametrize("value", ["a b", "http://x", "x/y", "x;y"])
def test_a_host_is_a_name_or_an_address(value: str) -> None:
    with pytest.raises(EnvError, match="H must be a host name"):
        read(H=value).host("H", "127.0.0.1")


def test_an_ipv6_host_may_stand_in_brackets() -> None:
    assert read(H="[::1]").host("H", "127.0.0.1") == "::1"


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert read().path("P", Path("data")) == tmp_path / "data"
    assert read(P="~/hub").path("P", Path("data")) == Path("/home/somebody/hub")


def test_names_are_separated_by_commas() -> None:
    assert read(N=" a, b,,c ").names("N") == ("a", "b", "c")
